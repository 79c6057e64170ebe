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

namespace postern::load {

// What may be read while it runs.
struct Progress {
  std::atomic<uint64_t> started{0};
  std::atomic<uint64_t> good{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> idle{0};  // Script::kIdle: logged in and silent
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

  const Progress& progress() const { return progress_; }
  const Options& options() const { return options_; }

 private:
  class Thread;

  const Options options_;
  Progress progress_;
  std::atomic<uint64_t> next_session_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> aborting_{false};
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_GENERATOR_H_
