// How the search for a capacity is told.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/load/capacity.h"

namespace postern::load {
namespace {

constexpr int kBarMax = 50;

double Milliseconds(DurationNs duration) { return static_cast<double>(duration) / kMillisecond; }

absl::string_view Name(Capacity::Limit limit) {
  switch (limit) {
    case Capacity::Limit::kTarget:
      return "target";
    case Capacity::Limit::kGenerator:
      return "generator";
    case Capacity::Limit::kRateMax:
      return "rate_max";
    case Capacity::Limit::kTime:
      return "time";
    case Capacity::Limit::kNothing:
      break;
  }
  return "nothing";
}

std::string Verdict(const CapacityStep& step) {
  if (step.problem.empty()) return "met";
  return absl::StrCat(step.problem,
                      step.generator_limited ? " (the generator was late or out of CPU)" : "");
}

// p99 over the rate. The bars are logarithmic: what matters is where it begins to climb.
std::string Plot(std::vector<CapacityStep> steps) {
  std::sort(steps.begin(), steps.end(), [](const CapacityStep& a, const CapacityStep& b) {
    return std::tie(a.rate, a.p99) < std::tie(b.rate, b.p99);
  });
  DurationNs least = kNever;
  DurationNs most = 1;
  for (const CapacityStep& step : steps) {
    if (step.p99 > 0) least = std::min(least, step.p99);
    most = std::max(most, step.p99);
  }
  if (least == kNever) return "";
  const double range = std::log(static_cast<double>(most) / static_cast<double>(least));
  std::string text = absl::StrFormat("\np99 of sessions, ms (logarithmic)\n");
  for (const CapacityStep& step : steps) {
    double share = 0;
    if (step.p99 > 0 && range > 0) {
      share = std::log(static_cast<double>(step.p99) / static_cast<double>(least)) / range;
    }
    const int length = step.p99 == 0 ? 0 : 1 + static_cast<int>(share * (kBarMax - 1));
    absl::StrAppendFormat(&text, "%10.1f/s |%s%s %.4g\n", step.rate,
                          std::string(static_cast<size_t>(length), '#'),
                          step.problem.empty() ? "" : " missed,", Milliseconds(step.p99));
  }
  return text;
}

std::string Conclusion(const Options& options, const Capacity& capacity) {
  const std::string& objective = options.objective;
  switch (capacity.limit) {
    case Capacity::Limit::kTarget:
      return absl::StrFormat("capacity: %.1f sessions a second meet %s; %.1f a second do not.\n",
                             capacity.rate, objective, capacity.miss);
    case Capacity::Limit::kGenerator:
      return absl::StrFormat(
          "NO CAPACITY FOUND: this generator was the limit, not the target. %.1f sessions a second "
          "met %s; at %.1f a second the generator itself ran out of CPU or started sessions late. "
          "Give it more --threads or a machine of its own.\n",
          capacity.rate, objective, capacity.miss);
    case Capacity::Limit::kRateMax:
      return absl::StrFormat("capacity: at least %.1f sessions a second (--rate-max) meet %s.\n",
                             capacity.rate, objective);
    case Capacity::Limit::kTime:
      return absl::StrFormat(
          "NO CAPACITY FOUND: the search ended before it was done (--duration-s, or a signal). "
          "%.1f sessions a second met %s.\n",
          capacity.rate, objective);
    case Capacity::Limit::kNothing:
      break;
  }
  return absl::StrFormat("NO CAPACITY FOUND: not even %.1f sessions a second met %s.\n",
                         capacity.miss, objective);
}

}  // namespace

std::string StepHeading() {
  return absl::StrFormat("%10s %10s %9s %9s %7s %9s\n", "rate/s", "achieved", "p50 ms", "p99 ms",
                         "errors", "generator");
}

std::string StepLine(const CapacityStep& step) {
  return absl::StrFormat("%10.1f %10.1f %9.3f %9.3f %7d %8.0f%%  %s\n", step.rate, step.achieved,
                         Milliseconds(step.p50), Milliseconds(step.p99), step.errors,
                         step.generator_busy * 100, Verdict(step));
}

std::string CapacityText(const Options& options, const Capacity& capacity) {
  return absl::StrCat(Plot(capacity.steps), "\n", Conclusion(options, capacity));
}

nlohmann::ordered_json CapacityJson(const Options& options, const Capacity& capacity) {
  nlohmann::ordered_json json;
  json["target"] = options.target_text;
  json["tls"] = std::string(Name(options.tls));
  json["script"] = std::string(Name(options.script));
  json["objective"] = options.objective;
  json["step_seconds"] = static_cast<double>(options.step) / kSecond;
  json["limit"] = std::string(Name(capacity.limit));
  json["highest_rate_met"] = capacity.rate;
  json["lowest_rate_missed"] = capacity.miss > 0 ? nlohmann::ordered_json(capacity.miss) : nullptr;
  // Only when it was the target that said no.
  json["capacity"] =
      capacity.limit == Capacity::Limit::kTarget ? nlohmann::ordered_json(capacity.rate) : nullptr;
  json["steps"] = nlohmann::ordered_json::array();
  for (const CapacityStep& step : capacity.steps) {
    json["steps"].push_back({{"rate", step.rate},
                             {"achieved", step.achieved},
                             {"p50_ms", Milliseconds(step.p50)},
                             {"p99_ms", Milliseconds(step.p99)},
                             {"errors", step.errors},
                             {"generator_busy", step.generator_busy},
                             {"met", step.problem.empty()},
                             {"problem", step.problem},
                             {"generator_limited", step.generator_limited}});
  }
  return json;
}

}  // namespace postern::load
