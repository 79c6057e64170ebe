#include "bench/load/capacity.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

// Above this the generator has no time left to be in time.
constexpr double kBusy = 0.9;
// So many sessions may start late because of the generator before its own tardiness is the finding.
constexpr double kBehindShare = 0.01;

Options StepOptions(const Options& options, double rate) {
  Options step = options;
  step.duration = options.step;
  step.rate = RatePlan::Constant(rate, options.step);
  step.total = Options::kEndless;
  return step;
}

// The finding that limits the search: that of the lowest rate that missed.
Capacity::Limit LimitOf(const CapacitySearch& search, const std::vector<CapacityStep>& steps) {
  if (search.best() == 0 && search.miss() == CapacitySearch::kNoMiss) return Capacity::Limit::kTime;
  if (search.miss() == CapacitySearch::kNoMiss) return Capacity::Limit::kRateMax;
  // Both tries at this rate missed; one of them with a generator that kept up is enough.
  const bool generator = std::none_of(steps.begin(), steps.end(), [&](const CapacityStep& step) {
    return step.rate == search.miss() && !step.problem.empty() && !step.generator_limited;
  });
  if (generator) return Capacity::Limit::kGenerator;
  return search.best() == 0 ? Capacity::Limit::kNothing : Capacity::Limit::kTarget;
}

}  // namespace

CapacitySearch::CapacitySearch(double first, double rate_max)
    : rate_max_(rate_max), rate_(std::min(first, rate_max)) {}

void CapacitySearch::Report(bool met) {
  if (met) {
    best_ = std::max(best_, rate_);
  } else if (!std::exchange(missed_once_, true)) {
    return;  // once more
  } else {
    miss_ = std::min(miss_, rate_);
  }
  missed_once_ = false;
  if (miss_ == kNoMiss) {
    if (rate_ >= rate_max_) done_ = true;
    rate_ = std::min(rate_ * 2, rate_max_);
  } else if (best_ == 0) {
    if (rate_ <= kRateMin) done_ = true;
    rate_ = std::max(rate_ / 2, kRateMin);
  } else {
    if (miss_ / best_ <= kPrecision) done_ = true;
    rate_ = std::sqrt(best_ * miss_);
  }
}

CapacityStep JudgeStep(const Options& step_options, const Objective& objective,
                       const Results& results) {
  CapacityStep step;
  step.rate = step_options.rate.rate_max();
  const double seconds =
      std::max(results.seconds(), static_cast<double>(step_options.duration) / kSecond);
  step.achieved = static_cast<double>(results.good()) / seconds;
  step.p50 = results.span(Span::kSession).Percentile(50);
  step.p99 = results.span(Span::kSession).Percentile(99);
  step.errors = results.failed() + results.dropped;
  step.generator_busy = results.thread_busy_max;
  step.problem = objective.Problem(results);
  const auto sessions = static_cast<double>(results.sessions() + results.dropped);
  step.generator_limited =
      !step.problem.empty() && (results.thread_busy_max > kBusy ||
                                static_cast<double>(results.behind) > sessions * kBehindShare);
  return step;
}

absl::StatusOr<Capacity> FindCapacity(
    const Options& options, const std::function<absl::StatusOr<Results>(const Options&)>& run,
    const std::function<bool()>& proceed, const std::function<void(const CapacityStep&)>& show) {
  ASSIGN_OR_RETURN(const Objective objective, Objective::Parse(options.objective));
  CapacitySearch search(options.rate.rate_max(), options.rate_max);
  Capacity capacity;
  bool ended = false;
  while (!search.done() && !ended) {
    if (!proceed()) {
      ended = true;
      break;
    }
    const Options step_options = StepOptions(options, search.rate());
    ASSIGN_OR_RETURN(const Results results, run(step_options));
    // A step that was interrupted says nothing.
    ended = results.endings[static_cast<size_t>(Ending::kStopped)] > 0 && !proceed();
    if (ended) break;
    CapacityStep step = JudgeStep(step_options, objective, results);
    show(step);
    search.Report(step.problem.empty());
    capacity.steps.push_back(std::move(step));
  }
  capacity.rate = search.best();
  capacity.miss = search.miss() == CapacitySearch::kNoMiss ? 0 : search.miss();
  capacity.limit = ended ? Capacity::Limit::kTime : LimitOf(search, capacity.steps);
  return capacity;
}

}  // namespace postern::load
