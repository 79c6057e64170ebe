// Durations in a few buckets of equal ratio, fine enough to tell a median: two to an octave, from a
// millisecond to a minute. Whoever counts and whoever judges use the same ones.
#ifndef POSTERN_PROXY_BASE_LATENCY_SCALE_H_
#define POSTERN_PROXY_BASE_LATENCY_SCALE_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "proxy/base/time.h"

namespace postern {

// The first bucket ends at 2^20 ns (about 1 ms), the last one begins at 2^36 ns (about 69 s).
inline constexpr int kLatencyFirstBit = 20;
inline constexpr size_t kLatencyBuckets = 34;

// Numbers of durations, by bucket.
using LatencyCounts = std::array<uint64_t, kLatencyBuckets>;

constexpr size_t LatencyBucket(DurationNs duration) {
  const auto ns = static_cast<uint64_t>(std::max<DurationNs>(duration, 0));
  if (ns < (uint64_t{1} << kLatencyFirstBit)) return 0;
  const int top = static_cast<int>(std::bit_width(ns)) - 1;
  const auto octave = static_cast<size_t>(top - kLatencyFirstBit);
  const size_t half = (ns >> (top - 1)) & 1;
  return std::min(1 + 2 * octave + half, kLatencyBuckets - 1);
}

// Where a bucket begins, in nanoseconds; kLatencyBuckets: where the last one ends.
constexpr DurationNs LatencyBucketBegin(size_t bucket) {
  if (bucket == 0) return 0;
  const DurationNs octave = DurationNs{1} << (kLatencyFirstBit + (bucket - 1) / 2);
  return (bucket - 1) % 2 == 0 ? octave : octave + octave / 2;
}

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_LATENCY_SCALE_H_
