// Numbers that one thread writes and any thread reads: a plain add for the writer (about 2 ns), no
// lock, no contended cache line. Sums over workers are made when somebody scrapes.
#ifndef POSTERN_METRICS_COUNTERS_H_
#define POSTERN_METRICS_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "proxy/base/latency_scale.h"
#include "proxy/base/time.h"

namespace postern::metrics {

// Only grows. One writer.
class Counter {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Goes up and down. One writer.
class Gauge {
 public:
  void Add(int64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  int64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Durations in fixed buckets. One writer.
class LatencyHistogram {
 public:
  // Upper bounds in seconds, the last bucket is +Inf.
  static constexpr std::array<double, 16> kBounds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

  void Record(DurationNs duration) {
    const double seconds = static_cast<double>(duration) / static_cast<double>(kSecond);
    size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
    buckets_[bucket].Add();
    sum_ns_.Add(duration > 0 ? static_cast<uint64_t>(duration) : 0);
  }
  uint64_t bucket(size_t i) const { return buckets_[i].Get(); }
  double sum_seconds() const { return static_cast<double>(sum_ns_.Get()) / 1e9; }

 private:
  std::array<Counter, kBounds.size() + 1> buckets_;
  Counter sum_ns_;
};

// Durations by LatencyBucket(): a median can be told from them. One writer.
class LatencySpread {
 public:
  void Record(DurationNs duration) { buckets_[LatencyBucket(duration)].Add(); }
  LatencyCounts Get() const {
    LatencyCounts counts{};
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = buckets_[i].Get();
    return counts;
  }

 private:
  std::array<Counter, kLatencyBuckets> buckets_;
};

}  // namespace postern::metrics

#endif  // POSTERN_METRICS_COUNTERS_H_
