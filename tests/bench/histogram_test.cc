#include "bench/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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
  for (double percent = 0.1; percent < 100; percent += 0.1) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * 50000));
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
