// Checks one backend again and again: connect, talk as far as the configuration says, QUIT.
//
// It talks through the same code as a login (upstream_login.cc), so that what the check proves is
// what a login needs. The password of the user that checks log in is in no message. Belongs to
// the thread of its Io.
#ifndef POSTERN_PROXY_HEALTH_PROBER_H_
#define POSTERN_PROXY_HEALTH_PROBER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "metrics/worker_stats.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/probe_clock.h"
#include "proxy/snapshot.h"
#include "proxy/upstream_login.h"
#include "routing/backend_state.h"

namespace postern {

class HealthProber : public ListNode<HealthProber> {
 public:
  using Over = void (*)(HealthProber* prober, void* owner);

  // `backend` indexes the configuration of `snapshot` and has a probe. `seed` spreads the checks of
  // many backends and many proxies over time.
  HealthProber(io::Io* io, BlockPool* blocks, std::shared_ptr<const WorkerSnapshot> snapshot,
               size_t backend, uint64_t seed);

  // Runs until Stop(); then tells `over`, after which the prober may be deleted.
  void Start(Over over, void* owner);
  // Goes on by the configuration of `snapshot`, where the backend is number `backend`, as if
  // nothing had happened: a check in progress is finished as it was begun, and the next one does
  // not come later than it would have. False, and nothing changes, where something else is to be
  // checked.
  bool Adopt(std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend);
  // Soon. A check in progress is given up and counts for nothing.
  void Stop();

  const std::string& backend_name() const { return state_->name(); }

 private:
  coro::Task<void> Run();
  coro::Task<routing::CheckResult> Check();
  coro::Task<bool> TryAddress(SocketAddress address, routing::CheckResult* result);
  coro::Task<bool> AskForMail(routing::CheckResult* result);
  coro::Task<void> SayQuit();
  // Reads one line; false when none came.
  coro::Task<bool> ReadLine(std::string* line);
  // From 0 to `most`, at random.
  DurationNs UpTo(DurationNs most);
  void Use(std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend);

  const config::Backend& target() const { return snapshot_->shared->config.backends[backend_]; }

  io::Io* io_;
  std::shared_ptr<const WorkerSnapshot> snapshot_;
  size_t backend_;
  std::shared_ptr<routing::BackendState> state_;
  uint64_t random_;
  config::Timeouts timeouts_;
  metrics::BackendStats stats_;  // of nobody: checks are no logins
  BackendMemory memory_;
  Channel channel_;
  ProbeClock clock_;
  TimeNs deadline_ = 0;  // of the check in progress
  // Adopted during a check; null: none.
  std::shared_ptr<const WorkerSnapshot> next_snapshot_;
  size_t next_backend_ = 0;
  Over over_ = nullptr;
  void* owner_ = nullptr;
};

}  // namespace postern

#endif  // POSTERN_PROXY_HEALTH_PROBER_H_
