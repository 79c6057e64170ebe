// Runs the sessions of one run on its threads, closed loop (as many at once as asked for, the next
// when one ends) or open loop (each at its own time, whatever the server does).
#ifndef POSTERN_BENCH_LOAD_GENERATOR_H_
#define POSTERN_BENCH_LOAD_GENERATOR_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "bench/load/options.h"
#include "bench/load/results.h"
#include "bench/load/users.h"

namespace postern::load {

class LoadThread;

// What may be read while it runs.
struct Progress {
  std::atomic<uint64_t> started{0};
  std::atomic<uint64_t> good{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> idle{0};  // Verb::kIdle: logged in and silent, ever
  std::atomic<uint64_t> due{0};   // open loop: came, and wait for a place at least for a moment
};

// What the threads of one run share.
struct SharedRun {
  explicit SharedRun(Options run_options)
      : options(std::move(run_options)), users(options.population(), options.skew, options.seed) {}

  const Options options;
  const UserChoice users;
  Progress progress;
  std::atomic<uint64_t> next_session{0};
  std::atomic<bool> stopping{false};
  std::atomic<bool> aborting{false};
};

class Generator {
 public:
  explicit Generator(Options options);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator();

  absl::Status Start();
  // All sessions are over.
  bool done() const;
  // Starts no more sessions; with `now`, ends those under way. Any thread.
  void Stop(bool now);
  // Waits until done, then the merged results.
  Results Finish();

  const Progress& progress() const { return run_.progress; }
  const Options& options() const { return run_.options; }
  // Of the sessions so far, half a second old at most. Not after Finish().
  Histogram LiveSessions() const;

 private:
  SharedRun run_;
  double cpu_before_ = 0;
  std::vector<std::unique_ptr<LoadThread>> threads_;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_GENERATOR_H_
