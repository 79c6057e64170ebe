#include "proxy/config/value_syntax.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace postern::config {
namespace {

struct Unit {
  const char* name;
  int64_t factor;
};

constexpr Unit kDurationUnits[] = {
    {"ms", kMillisecond}, {"s", kSecond}, {"m", 60 * kSecond}, {"h", 3600 * kSecond}};
constexpr Unit kSizeUnits[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}};

template <size_t count>
std::optional<int64_t> ParseWithUnit(absl::string_view text, const Unit (&units)[count]) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    ++digits;
  }
  int64_t number = 0;
  if (digits == 0 || !absl::SimpleAtoi(text.substr(0, digits), &number)) return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(digits) != unit.name) continue;
    if (number > INT64_MAX / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

bool IsAlphanumeric(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

}  // namespace

std::optional<DurationNs> ParseDuration(absl::string_view text) {
  return ParseWithUnit(text, kDurationUnits);
}

std::string DurationText(DurationNs duration) {
  const Unit* best = &kDurationUnits[0];
  for (const Unit& unit : kDurationUnits) {
    if (duration != 0 && duration % unit.factor == 0) best = &unit;
  }
  if (duration == 0) return "0s";
  return absl::StrCat(duration / best->factor, best->name);
}

std::optional<int64_t> ParseByteSize(absl::string_view text) {
  return ParseWithUnit(text, kSizeUnits);
}

bool IsUserDomain(absl::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         text.find_first_of("@* \t") == absl::string_view::npos && HasNoControlBytes(text);
}

bool IsEntityName(absl::string_view text) {
  if (text.empty() || text.size() > 64 || !IsAlphanumeric(text[0])) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '-' || c == '_'; });
}

bool IsCapabilityLine(absl::string_view text) {
  if (text.empty() || text.size() > 250) return false;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (word.empty()) return false;
    if (!std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c < 0x7f; })) {
      return false;
    }
  }
  return text[0] != '.';  // a line that begins with a dot ends the answer
}

bool HasNoControlBytes(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7f;
  });
}

}  // namespace postern::config
