#include "bench/load/objective.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "bench/load/script.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"

namespace postern::load {
namespace {

absl::Status Wrong(absl::string_view condition, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("--objective: \"", EscapeForLog(condition, 60), "\" ", what));
}

}  // namespace

absl::StatusOr<Objective::Latency> Objective::ParseLatency(absl::string_view name,
                                                           absl::string_view limit) {
  Latency latency;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits('.', 1));
  // The dot of "p99.9" is none between a span and a measure.
  for (size_t i = 0; i < kSpans; ++i) {
    if (Name(static_cast<Span>(i)) != parts.first) continue;
    latency.span = static_cast<Span>(i);
    name = parts.second;
  }
  latency.name = std::string(name);
  if (name == "max") {
    latency.percent = 100;
  } else if (name != "mean") {
    if (!absl::ConsumePrefix(&name, "p") || !absl::SimpleAtod(name, &latency.percent) ||
        !(latency.percent > 0 && latency.percent < 100)) {
      return absl::InvalidArgumentError(
          "names no measure; write p50, p99.9, mean, max, login.p99 or errors");
    }
  }
  if (absl::ConsumePrefix(&limit, "=")) latency.or_equal = true;
  const absl::StatusOr<DurationNs> duration = ParseDuration(limit);
  if (!duration.ok() || *duration == 0) {
    return absl::InvalidArgumentError("names no limit; write p99<200ms or max<=1.5s");
  }
  latency.limit = *duration;
  return latency;
}

absl::StatusOr<Objective::Errors> Objective::ParseErrors(absl::string_view limit) {
  Errors errors;
  errors.or_equal = absl::ConsumePrefix(&limit, "=");
  errors.percent = absl::ConsumeSuffix(&limit, "%");
  if (!absl::SimpleAtod(limit, &errors.limit) || !(errors.limit >= 0) || std::isinf(errors.limit) ||
      (errors.percent && errors.limit > 100)) {
    return absl::InvalidArgumentError("names no limit; write errors=0, errors<=5 or errors<0.1%");
  }
  return errors;
}

absl::StatusOr<Objective> Objective::Parse(absl::string_view text) {
  Objective objective;
  objective.text_ = std::string(text);
  for (absl::string_view condition : absl::StrSplit(text, ',')) {
    condition = absl::StripAsciiWhitespace(condition);
    const size_t sign = condition.find_first_of("<=");
    if (sign == condition.npos) return Wrong(condition, "is no condition; write p99<200ms");
    const absl::string_view name = condition.substr(0, sign);
    // Behind "<"; an "=" is left for who reads the limit.
    const absl::string_view limit = condition.substr(condition[sign] == '<' ? sign + 1 : sign);
    if (name == "errors") {
      absl::StatusOr<Errors> errors = ParseErrors(limit);
      if (!errors.ok()) return Wrong(condition, errors.status().message());
      objective.errors_ = *errors;
      continue;
    }
    if (condition[sign] == '=') return Wrong(condition, "can only be <, as in p99<200ms");
    absl::StatusOr<Latency> latency = ParseLatency(name, limit);
    if (!latency.ok()) return Wrong(condition, latency.status().message());
    objective.latencies_.push_back(*std::move(latency));
  }
  return objective;
}

DurationNs Objective::Measured(const Latency& latency, const Histogram& histogram) {
  if (latency.name == "mean") return static_cast<DurationNs>(histogram.mean());
  if (latency.name == "max") return histogram.max();
  return histogram.Percentile(latency.percent);
}

std::string Objective::ErrorsProblem(const Results& results) const {
  const uint64_t all = results.sessions() + results.dropped;
  const auto errors = static_cast<double>(results.failed() + results.dropped);
  const double measured =
      errors_.percent ? (all == 0 ? 0 : errors * 100 / static_cast<double>(all)) : errors;
  if (measured < errors_.limit || (errors_.or_equal && measured == errors_.limit)) return "";
  return absl::StrFormat("%g of %d sessions failed", errors, all);
}

std::string Objective::Problem(const Results& results) const {
  if (results.sessions() == 0) return "no session ran";
  std::string problem = ErrorsProblem(results);
  if (!problem.empty()) return problem;
  for (const Latency& latency : latencies_) {
    const Histogram& histogram = results.span(latency.span);
    const absl::string_view span = Name(latency.span);
    if (histogram.count() == 0) return absl::StrCat("no ", span, " was timed");
    const DurationNs measured = Measured(latency, histogram);
    if (measured < latency.limit || (latency.or_equal && measured == latency.limit)) continue;
    return absl::StrFormat("%s of %s is %.4g ms", latency.name, span,
                           static_cast<double>(measured) / kMillisecond);
  }
  return "";
}

}  // namespace postern::load
