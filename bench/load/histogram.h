// Latencies with a known error and bounded memory.
//
// Log-linear: values below 256 have a bucket each; above, every power of two is cut into 128 equal
// buckets. A percentile is the upper edge of its bucket: never below the true value, and at most
// 1/128 (0.8 percent) above it. 36 KB, no allocation while recording. One writer.
#ifndef POSTERN_BENCH_LOAD_HISTOGRAM_H_
#define POSTERN_BENCH_LOAD_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "proxy/base/time.h"

namespace postern::load {

class Histogram {
 public:
  // Longer ones are counted as this: about 18 minutes.
  static constexpr DurationNs kLongest = (DurationNs{1} << 40) - 1;

  // Of Percentile(), in proportion to the true value.
  static constexpr double kRelativeErrorMax = 1.0 / 128;

  Histogram() : buckets_(kBuckets) {}

  // Negative durations count as 0.
  void Record(DurationNs value);
  void Merge(const Histogram& other);

  uint64_t count() const { return count_; }
  // Exact; 0 when nothing was recorded.
  DurationNs min() const { return count_ == 0 ? 0 : min_; }
  DurationNs max() const { return max_; }
  double mean() const;
  // `percent` from 0 to 100, to a millionth; 0 when nothing was recorded.
  DurationNs Percentile(double percent) const;

 private:
  static constexpr int kBits = 7;
  static constexpr size_t kBuckets = size_t{34} << kBits;
  static size_t BucketOf(uint64_t value);
  static uint64_t UpperEdge(size_t bucket);

  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  double sum_ = 0;
  DurationNs min_ = kLongest;
  DurationNs max_ = 0;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_HISTOGRAM_H_
