#include "proxy/admin/verb_arguments.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/time.h"
#include "proxy/config/value_syntax.h"

namespace postern::admin {
namespace {

// What the server takes.
constexpr DurationNs kOverMax = 24 * 3600 * kSecond;
constexpr int kWeightMax = 10000;

}  // namespace

absl::Status CheckBackendName(const std::string& name) {
  if (config::IsEntityName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", EscapeForLog(name, 80),
                   "\" is no name of a backend: letters, digits, \".\", \"_\" and \"-\", beginning "
                   "with a letter or digit; `postern status` lists them"));
}

absl::Status CheckOver(const std::string& over) {
  if (over.empty()) return absl::OkStatus();
  const std::optional<DurationNs> duration = config::ParseDuration(over);
  if (duration.has_value() && *duration > 0 && *duration <= kOverMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--over must be a time, such as 90s, 10m or 2h, at most 24h; it is \"",
                   EscapeForLog(over, 40), "\""));
}

absl::StatusOr<std::optional<int>> ReadWeight(const std::string& weight) {
  if (weight == "configured") return std::optional<int>();
  int number = 0;
  if (absl::SimpleAtoi(weight, &number) && number >= 0 && number <= kWeightMax) {
    return std::optional<int>(number);
  }
  return absl::InvalidArgumentError(absl::StrCat("the weight must be a number from 0 to ",
                                                 kWeightMax, ", or the word configured; it is \"",
                                                 EscapeForLog(weight, 40), "\""));
}

std::string CountText(uint64_t count, const std::string& what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace postern::admin
