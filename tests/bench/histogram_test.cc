#include "bench/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "routing/stable_hash.h"

namespace postern::load {
namespace {

TEST(HistogramTest, NothingRecorded) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), 0);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_EQ(histogram.Percentile(99), 0);
}

TEST(HistogramTest, OneValueIsEveryPercentile) {
  for (const DurationNs value : {DurationNs{0}, DurationNs{1}, DurationNs{255}, DurationNs{256},
                                 DurationNs{123456789}, Histogram::kLongest}) {
    Histogram histogram;
    histogram.Record(value);
    for (const double percent : {0.0, 50.0, 99.9, 100.0}) {
      EXPECT_EQ(histogram.Percentile(percent), value);
    }
  }
}

TEST(HistogramTest, ValuesOutOfRangeCountAsTheNearest) {
  Histogram histogram;
  histogram.Record(-5);
  histogram.Record(INT64_MAX);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), Histogram::kLongest);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (DurationNs value = 1; value <= 200; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.Percentile(50), 100);
  EXPECT_EQ(histogram.Percentile(99), 198);
  EXPECT_DOUBLE_EQ(histogram.mean(), 100.5);
}

TEST(HistogramTest, TheRankIsExact) {
  // 10 up to the rank that counts, 20 above: a rank that is off by one shows.
  const std::vector<std::pair<uint64_t, double>> cases = {
      {1000, 99.9}, {10000, 99.99}, {3000, 99.9},     {1000, 55.5},
      {1000, 0.1},  {1000, 28.7},   {100000, 99.999}, {1000000, 99}};
  for (const auto& [count, percent] : cases) {
    const auto rank =
        static_cast<uint64_t>(std::llround(percent * static_cast<double>(count))) / 100;
    Histogram histogram;
    for (uint64_t i = 1; i <= count; ++i) histogram.Record(i <= rank ? 10 : 20);
    EXPECT_EQ(histogram.Percentile(percent), 10) << percent << " % of " << count;
    EXPECT_EQ(histogram.Percentile(percent + 0.0001), 20) << percent << " % of " << count;
  }
}

TEST(HistogramTest, ThePromisedPrecisionHolds) {
  // Over ten powers of ten, against the sorted values themselves.
  std::vector<DurationNs> values;
  Histogram histogram;
  for (uint64_t i = 1; i <= 50000; ++i) {
    const double exponent = static_cast<double>(routing::MixBits(i) % 100000) / 10000.0;
    values.push_back(static_cast<DurationNs>(std::pow(10.0, exponent)));
    histogram.Record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (size_t rank = 50; rank < 50000; rank += 50) {
    const double percent = static_cast<double>(rank) / 500;
    const auto exact = static_cast<double>(values[rank - 1]);
    const auto read = static_cast<double>(histogram.Percentile(percent));
    EXPECT_GE(read, exact) << percent;
    EXPECT_LE(read, exact * (1 + 1.0 / 128)) << percent;
  }
  EXPECT_EQ(histogram.Percentile(100), values.back());
}

TEST(HistogramTest, MergingIsRecordingBoth) {
  Histogram one;
  Histogram two;
  Histogram both;
  for (uint64_t i = 1; i <= 1000; ++i) {
    const auto value = static_cast<DurationNs>(routing::MixBits(i) >> 30);
    (i % 3 == 0 ? one : two).Record(value);
    both.Record(value);
  }
  one.Merge(two);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.min(), both.min());
  EXPECT_EQ(one.max(), both.max());
  for (const double percent : {1.0, 50.0, 99.0}) {
    EXPECT_EQ(one.Percentile(percent), both.Percentile(percent));
  }
}

}  // namespace
}  // namespace postern::load
