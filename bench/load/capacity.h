// --find-capacity: the highest rate of the open loop that still meets an objective.
#ifndef POSTERN_BENCH_LOAD_CAPACITY_H_
#define POSTERN_BENCH_LOAD_CAPACITY_H_

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/load/objective.h"
#include "bench/load/options.h"
#include "bench/load/results.h"

namespace postern::load {

// Which rate to try next: twice as much until the objective is missed, then the middle (as a ratio)
// between the highest that met it and the lowest that missed it, until they are close. A miss is
// tried once more before it is believed: one hiccup is no limit. When even the first rate misses,
// half as much until one meets it.
class CapacitySearch {
 public:
  static constexpr double kRateMin = 1;
  // How close, as a ratio.
  static constexpr double kPrecision = 1.08;
  static constexpr double kNoMiss = std::numeric_limits<double>::infinity();

  CapacitySearch(double first, double rate_max);

  bool done() const { return done_; }
  double rate() const { return rate_; }
  void Report(bool met);

  double best() const { return best_; }  // 0: none met it
  double miss() const { return miss_; }  // kNoMiss: none missed it

 private:
  double rate_max_;
  double rate_;
  double best_ = 0;
  double miss_ = kNoMiss;
  bool missed_once_ = false;
  bool done_ = false;
};

// One rate that was tried.
struct CapacityStep {
  double rate = 0;
  double achieved = 0;  // good sessions a second
  DurationNs p50 = 0;   // of sessions
  DurationNs p99 = 0;
  uint64_t errors = 0;
  double generator_busy = 0;  // of the generator's busiest thread, 0 to 1
  std::string problem;        // why it missed the objective; empty: it met it
  // It missed, and the generator itself was too slow or too late: this says nothing of the target.
  bool generator_limited = false;
};

struct Capacity {
  enum class Limit {
    kTarget,     // the next higher rate missed the objective, and the generator kept up
    kGenerator,  // the generator could not do more: the target may
    kRateMax,    // --rate-max met the objective
    kTime,       // --duration-s or a signal ended the search
    kNothing,    // no rate met the objective
  };
  double rate = 0;  // the highest that met it
  double miss = 0;  // the lowest above it that missed; 0: none
  Limit limit = Limit::kNothing;
  std::vector<CapacityStep> steps;  // in the order they were tried
};

// `run` runs one step and returns what it found; `proceed` says before each step whether to go on;
// `show` is told of each step.
absl::StatusOr<Capacity> FindCapacity(
    const Options& options, const std::function<absl::StatusOr<Results>(const Options&)>& run,
    const std::function<bool()>& proceed, const std::function<void(const CapacityStep&)>& show);

// What a step found, judged.
CapacityStep JudgeStep(const Options& step, const Objective& objective, const Results& results);

// A line for a step, under StepHeading().
std::string StepHeading();
std::string StepLine(const CapacityStep& step);
// The whole search as a plot, and its result as sentences.
std::string CapacityText(const Options& options, const Capacity& capacity);
nlohmann::ordered_json CapacityJson(const Options& options, const Capacity& capacity);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_CAPACITY_H_
