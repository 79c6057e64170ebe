// One thread of the generator: its own ring, TLS context, places for sessions, and results.
#ifndef POSTERN_BENCH_LOAD_LOAD_THREAD_H_
#define POSTERN_BENCH_LOAD_LOAD_THREAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "bench/load/client.h"
#include "bench/load/generator.h"
#include "bench/load/rate_plan.h"
#include "bench/load/results.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/io/io.h"
#include "tls/context.h"

namespace postern::load {

class LoadThread : public ClientOwner {
 public:
  // `places`: sessions at once.
  LoadThread(SharedRun* run, uint64_t index, uint32_t places);

  // Returns when the thread is ready or cannot be.
  absl::Status Start();
  void Join();

  bool done() const { return done_.load(); }
  // After Join().
  const Results& results() const { return results_; }
  // Any thread.
  Histogram LiveSessions() const;

  void OnSessionOver(Client* client, Ending ending) override;
  void OnIdle() override;

 private:
  struct Resting {
    TimeNs until;
    Client* client;
  };
  // Open loop: a session whose time has come.
  struct Arrival {
    TimeNs intended;
    uint64_t number;  // among those of all threads; of the replay: its line
  };

  void Run(std::promise<absl::Status>* started);
  absl::Status SetUp();
  void Loop();
  DurationNs WaitFor(TimeNs now) const;
  void Wake(TimeNs now);
  void StartSessions(TimeNs now);
  // Puts every arrival whose time has come into the queue.
  void Arrive(TimeNs now);
  // Counts those that wait, as far as the run was to have so many, and forgets them.
  void DropWaiting();
  // When the next session of the open loop is due; kNever: there are no more.
  TimeNs NextArrival() const;
  // A place for a session, if there is one.
  Client* TakePlace();
  // False: all sessions of the run have been started.
  bool StartOne(Client* place, const Arrival& arrival);
  // `number` decides who it is; of the replay: which line.
  SessionPlan PlanSession(uint64_t number, TimeNs intended) const;
  void Publish(TimeNs now);
  void GiveUp();

  SharedRun* const run_;
  const Options& options_;
  const uint64_t index_;
  const uint32_t places_;
  std::thread thread_;
  std::atomic<bool> done_{false};
  tls::Library library_;
  std::unique_ptr<tls::ClientContext> tls_;
  BlockPool blocks_;
  std::unique_ptr<io::Io> io_;
  ThreadContext context_;
  Results results_;
  std::vector<std::unique_ptr<Client>> clients_;
  IntrusiveList<Client> free_;
  std::deque<Resting> resting_;
  std::deque<Arrival> waiting_;  // open loop: no place yet
  std::optional<ArrivalClock> clock_;
  // Open loop. By turns with the other threads, so that it does not depend on who is faster.
  uint64_t next_number_;
  size_t busy_ = 0;
  TimeNs began_ = 0;
  TimeNs published_at_ = 0;
  bool over_ = false;
  bool aborted_ = false;
  mutable std::mutex live_mutex_;
  Histogram live_sessions_;  // guarded by live_mutex_
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_LOAD_THREAD_H_
