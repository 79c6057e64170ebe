// The open loop: how many sessions a second, and how that changes in the course of a run.
#ifndef POSTERN_BENCH_LOAD_RATE_PLAN_H_
#define POSTERN_BENCH_LOAD_RATE_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"

namespace postern::load {

enum class Arrivals { kPoisson, kConstant };

class RatePlan {
 public:
  // No open loop.
  RatePlan() = default;
  static RatePlan Constant(double rate, DurationNs length);

  // "200", or "100..1000" for a ramp over `length`.
  static absl::StatusOr<RatePlan> ParseRate(absl::string_view text, DurationNs length);
  // "100,200,400:10s": each rate for so long.
  static absl::StatusOr<RatePlan> ParseSteps(absl::string_view text);

  bool empty() const { return segments_.empty(); }
  DurationNs length() const;
  // Sessions that the whole plan starts, on average.
  double sessions() const;
  double rate_max() const;
  // As it was written: "200", "100..1000", "100,200,400:10s".
  const std::string& text() const { return text_; }

  // When `sessions` of them should have been started, from the start; kNever: behind the end.
  DurationNs TimeOf(double sessions) const;

 private:
  struct Segment {
    DurationNs length;
    double from;  // sessions a second, at its beginning
    double to;
  };
  std::vector<Segment> segments_;
  std::string text_;
};

// The intended starts of one thread, in order. All threads together follow the plan.
class ArrivalClock {
 public:
  ArrivalClock(const RatePlan* plan, Arrivals arrivals, uint64_t seed, uint64_t thread,
               uint64_t threads);

  // From the start; kNever when there are no more.
  DurationNs next() const { return next_; }
  void Advance();

 private:
  const RatePlan* plan_;
  Arrivals arrivals_;
  uint64_t seed_;
  double threads_;
  uint64_t draws_ = 0;
  double sessions_ = 0;
  DurationNs next_ = kNever;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_RATE_PLAN_H_
