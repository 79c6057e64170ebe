#include "bench/maildrop/size_model.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "routing/stable_hash.h"

namespace postern::maildrop {
namespace {

absl::Status Bad(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is no distribution of sizes; write fixed:5000, uniform:1000-20000 or ",
      "lognormal:20000:1.2, with sizes from ", kMessageBytesMin, " to ", kMessageBytesMax));
}

bool ParseSize(absl::string_view text, uint64_t* size) {
  return absl::SimpleAtoi(text, size) && *size >= kMessageBytesMin && *size <= kMessageBytesMax;
}

// Above 0, at most 1.
double Unit(uint64_t random) { return (static_cast<double>(random >> 11) + 1.0) * 0x1.0p-53; }

}  // namespace

absl::StatusOr<SizeModel> SizeModel::Parse(absl::string_view text) {
  SizeModel model;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.first == "fixed") {
    if (!ParseSize(parts.second, &model.low_)) return Bad(text);
    return model;
  }
  if (parts.first == "uniform") {
    const std::pair<absl::string_view, absl::string_view> range =
        absl::StrSplit(parts.second, absl::MaxSplits('-', 1));
    if (!ParseSize(range.first, &model.low_) || !ParseSize(range.second, &model.high_) ||
        model.low_ > model.high_) {
      return Bad(text);
    }
    model.kind_ = Kind::kUniform;
    return model;
  }
  if (parts.first == "lognormal") {
    const std::pair<absl::string_view, absl::string_view> shape =
        absl::StrSplit(parts.second, absl::MaxSplits(':', 1));
    uint64_t median = 0;
    if (!ParseSize(shape.first, &median) || !absl::SimpleAtod(shape.second, &model.sigma_) ||
        !(model.sigma_ >= 0 && model.sigma_ <= 10)) {
      return Bad(text);
    }
    model.median_ = static_cast<double>(median);
    model.kind_ = Kind::kLogNormal;
    return model;
  }
  return Bad(text);
}

uint64_t SizeModel::SizeOf(uint64_t random) const {
  switch (kind_) {
    case Kind::kFixed:
      return low_;
    case Kind::kUniform:
      return low_ + random % (high_ - low_ + 1);
    case Kind::kLogNormal: {
      // Box and Muller: two even numbers make one of the normal distribution.
      constexpr double kPi = 3.14159265358979323846;
      const double normal = std::sqrt(-2.0 * std::log(Unit(random))) *
                            std::cos(2.0 * kPi * Unit(routing::MixBits(random + 1)));
      const double size = median_ * std::exp(sigma_ * normal);
      return static_cast<uint64_t>(std::clamp(size, static_cast<double>(kMessageBytesMin),
                                              static_cast<double>(kMessageBytesMax)));
    }
  }
  return low_;
}

}  // namespace postern::maildrop
