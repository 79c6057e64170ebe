#include "bench/load/rate_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/load/script.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"
#include "routing/stable_hash.h"

namespace postern::load {
namespace {

constexpr double kRateMax = 1e6;
constexpr size_t kStepsMax = 1000;

double Seconds(DurationNs duration) { return static_cast<double>(duration) / kSecond; }

absl::StatusOr<double> ParseNumber(absl::string_view option, absl::string_view text) {
  double rate = 0;
  if (!absl::SimpleAtod(text, &rate) || !(rate >= 0.001 && rate <= kRateMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": \"", EscapeForLog(text, 40),
                     "\" is no rate; write sessions a second, from 0.001 to 1000000"));
  }
  return rate;
}

}  // namespace

RatePlan RatePlan::Constant(double rate, DurationNs length) {
  RatePlan plan;
  plan.segments_.push_back({length, rate, rate});
  plan.text_ = absl::StrCat(rate);
  return plan;
}

absl::StatusOr<RatePlan> RatePlan::ParseRate(absl::string_view text, DurationNs length) {
  const std::pair<absl::string_view, absl::string_view> ramp =
      absl::StrSplit(text, absl::MaxSplits("..", 1));
  const bool constant = ramp.first.size() == text.size();
  ASSIGN_OR_RETURN(const double from, ParseNumber("--rate", ramp.first));
  ASSIGN_OR_RETURN(const double to, ParseNumber("--rate", constant ? ramp.first : ramp.second));
  RatePlan plan;
  plan.segments_.push_back({length, from, to});
  plan.text_ = std::string(text);
  return plan;
}

absl::StatusOr<RatePlan> RatePlan::ParseSteps(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  const absl::StatusOr<DurationNs> length = ParseDuration(parts.second);
  if (!length.ok() || *length < kMillisecond) {
    return absl::InvalidArgumentError(
        "--rate-steps takes rates and how long each lasts, such as 100,200,400:10s");
  }
  RatePlan plan;
  for (const absl::string_view part : absl::StrSplit(parts.first, ',')) {
    ASSIGN_OR_RETURN(const double rate, ParseNumber("--rate-steps", part));
    plan.segments_.push_back({*length, rate, rate});
  }
  if (plan.segments_.size() > kStepsMax) {
    return absl::InvalidArgumentError(absl::StrCat("--rate-steps: more than ", kStepsMax));
  }
  plan.text_ = std::string(text);
  return plan;
}

DurationNs RatePlan::length() const {
  DurationNs sum = 0;
  for (const Segment& segment : segments_) sum += segment.length;
  return sum;
}

double RatePlan::sessions() const {
  double sum = 0;
  for (const Segment& segment : segments_) {
    sum += (segment.from + segment.to) / 2 * Seconds(segment.length);
  }
  return sum;
}

double RatePlan::rate_max() const {
  double most = 0;
  for (const Segment& segment : segments_) most = std::max({most, segment.from, segment.to});
  return most;
}

DurationNs RatePlan::TimeOf(double sessions) const {
  DurationNs begin = 0;
  for (const Segment& segment : segments_) {
    const double in_segment = (segment.from + segment.to) / 2 * Seconds(segment.length);
    if (sessions < in_segment) {
      // Within the segment t seconds see from * t + slope * t^2 / 2 sessions; this form of the
      // solution needs no case for a slope of zero.
      const double slope = (segment.to - segment.from) / Seconds(segment.length);
      const double root =
          std::sqrt(std::max(0.0, segment.from * segment.from + 2 * slope * sessions));
      return begin + static_cast<DurationNs>(2 * sessions / (segment.from + root) * kSecond);
    }
    sessions -= in_segment;
    begin += segment.length;
  }
  return kNever;
}

ArrivalClock::ArrivalClock(const RatePlan* plan, Arrivals arrivals, uint64_t seed, uint64_t thread,
                           uint64_t threads)
    : plan_(plan),
      arrivals_(arrivals),
      seed_(seed * 0x9e3779b97f4a7c15 + (thread << 40)),
      threads_(static_cast<double>(threads)) {
  if (arrivals_ == Arrivals::kPoisson) {
    Advance();
  } else {
    // The threads take turns.
    sessions_ = static_cast<double>(thread);
    next_ = plan_->TimeOf(sessions_);
  }
}

void ArrivalClock::Advance() {
  double gap = threads_;
  if (arrivals_ == Arrivals::kPoisson) {
    // Above 0, at most 1.
    const uint64_t random = routing::MixBits(seed_ + ++draws_);
    gap *= -std::log((static_cast<double>(random >> 11) + 1.0) * 0x1.0p-53);
  }
  sessions_ += gap;
  next_ = plan_->TimeOf(sessions_);
}

}  // namespace postern::load
