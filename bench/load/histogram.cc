#include "bench/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace postern::load {
namespace {

// The least rank below or at which `percent` of `count` values are. In whole numbers, a millionth
// of a percent each: 99.9 is no binary fraction, and 99.9 % of 1000 would be a little more than
// 999.
uint64_t RankOf(double percent, uint64_t count) {
  constexpr unsigned kWhole = 100'000'000;
  const auto parts = static_cast<unsigned __int128>(std::llround(percent * (kWhole / 100)));
  return static_cast<uint64_t>((parts * count + kWhole - 1) / kWhole);
}

}  // namespace

size_t Histogram::BucketOf(uint64_t value) {
  const int width = static_cast<int>(std::bit_width(value));
  const int shift = std::max(0, width - (kBits + 1));
  return (static_cast<size_t>(shift) << kBits) + static_cast<size_t>(value >> shift);
}

uint64_t Histogram::UpperEdge(size_t bucket) {
  const size_t per_power = size_t{1} << kBits;
  if (bucket < 2 * per_power) return bucket;
  const size_t shift = (bucket >> kBits) - 1;
  const uint64_t mantissa = bucket - (shift << kBits);
  return ((mantissa + 1) << shift) - 1;
}

void Histogram::Record(DurationNs value) {
  value = std::clamp(value, DurationNs{0}, kLongest);
  ++buckets_[BucketOf(static_cast<uint64_t>(value))];
  ++count_;
  sum_ += static_cast<double>(value);
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

double Histogram::mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

DurationNs Histogram::Percentile(double percent) const {
  if (count_ == 0) return 0;
  const uint64_t wanted = std::clamp<uint64_t>(RankOf(percent, count_), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(static_cast<DurationNs>(UpperEdge(i)), max_);
  }
  return max_;
}

}  // namespace postern::load
