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

constexpr uint64_t kWeightMax = 1000000;
constexpr size_t kWeightsMax = 1000;

// Above 0, at most 1.
double Unit(uint64_t random) { return (static_cast<double>(random >> 11) + 1.0) * 0x1.0p-53; }

}  // namespace

bool SizeModel::ReadNumber(absl::string_view text, uint64_t* number) const {
  return absl::SimpleAtoi(text, number) && *number >= least_ && *number <= most_;
}

bool SizeModel::ReadWeights(absl::string_view text) {
  uint64_t sum = 0;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> words =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    uint64_t size = 0;
    uint64_t weight = 0;
    if (!ReadNumber(words.first, &size) || !absl::SimpleAtoi(words.second, &weight) ||
        weight == 0 || weight > kWeightMax || weights_.size() == kWeightsMax) {
      return false;
    }
    sum += weight;
    weights_.emplace_back(size, sum);
  }
  return true;
}

bool SizeModel::Read(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.first == "fixed") return ReadNumber(parts.second, &low_);
  if (parts.first == "uniform") {
    kind_ = Kind::kUniform;
    const std::pair<absl::string_view, absl::string_view> range =
        absl::StrSplit(parts.second, absl::MaxSplits('-', 1));
    return ReadNumber(range.first, &low_) && ReadNumber(range.second, &high_) && low_ <= high_;
  }
  if (parts.first == "lognormal") {
    kind_ = Kind::kLogNormal;
    const std::pair<absl::string_view, absl::string_view> shape =
        absl::StrSplit(parts.second, absl::MaxSplits(':', 1));
    uint64_t median = 0;
    if (!ReadNumber(shape.first, &median) || !absl::SimpleAtod(shape.second, &sigma_)) return false;
    median_ = static_cast<double>(median);
    return sigma_ >= 0 && sigma_ <= 10;
  }
  if (parts.first == "weighted") {
    kind_ = Kind::kWeighted;
    return ReadWeights(parts.second);
  }
  return false;
}

absl::StatusOr<SizeModel> SizeModel::Parse(absl::string_view text) {
  SizeModel model;
  if (model.Read(text)) return model;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is no distribution of sizes; write fixed:5000, uniform:1000-20000, ",
      "lognormal:20000:1.2 or weighted:2000=60,20000=40, with sizes from ", kMessageBytesMin,
      " to ", kMessageBytesMax));
}

absl::StatusOr<SizeModel> SizeModel::ParseCounts(absl::string_view text) {
  SizeModel model;
  model.least_ = 0;
  model.most_ = kMessagesMax;
  if (model.ReadNumber(text, &model.low_) || model.Read(text)) return model;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is no number of messages; write 10, uniform:0-50, lognormal:20:1.2 or ",
      "weighted:0=50,10=40,1000=10, with at most ", kMessagesMax));
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
      return static_cast<uint64_t>(
          std::clamp(size, static_cast<double>(least_), static_cast<double>(most_)));
    }
    case Kind::kWeighted: {
      const uint64_t place = random % weights_.back().second;
      return std::upper_bound(weights_.begin(), weights_.end(), place,
                              [](uint64_t at, const auto& entry) { return at < entry.second; })
          ->first;
    }
  }
  return low_;
}

}  // namespace postern::maildrop
