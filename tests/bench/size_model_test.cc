#include "bench/maildrop/size_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "routing/stable_hash.h"

namespace postern::maildrop {
namespace {

std::vector<uint64_t> Draw(absl::string_view text, size_t count) {
  const absl::StatusOr<SizeModel> model = SizeModel::Parse(text);
  EXPECT_TRUE(model.ok()) << model.status();
  std::vector<uint64_t> sizes;
  for (uint64_t i = 0; i < count; ++i) sizes.push_back(model->SizeOf(routing::MixBits(i + 1)));
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

TEST(SizeModelTest, FixedIsAlwaysTheSame) {
  const std::vector<uint64_t> sizes = Draw("fixed:7777", 10);
  EXPECT_EQ(sizes.front(), 7777u);
  EXPECT_EQ(sizes.back(), 7777u);
}

TEST(SizeModelTest, UniformKeepsItsLimitsAndFillsThem) {
  const std::vector<uint64_t> sizes = Draw("uniform:1000-1009", 1000);
  EXPECT_EQ(sizes.front(), 1000u);
  EXPECT_EQ(sizes.back(), 1009u);
}

TEST(SizeModelTest, LogNormalHasItsMedianAndSpread) {
  const std::vector<uint64_t> sizes = Draw("lognormal:20000:1.0", 20001);
  EXPECT_NEAR(static_cast<double>(sizes[10000]), 20000, 1000);
  // One sigma above the median lie 15.87 percent.
  EXPECT_NEAR(static_cast<double>(sizes[16827]), 20000 * 2.71828, 4000);
  EXPECT_GE(sizes.front(), kMessageBytesMin);
}

TEST(SizeModelTest, ARunawayTailIsCut) {
  const std::vector<uint64_t> sizes = Draw("lognormal:20000:10", 2000);
  EXPECT_EQ(sizes.front(), kMessageBytesMin);
  EXPECT_EQ(sizes.back(), kMessageBytesMax);
}

TEST(SizeModelTest, WeightedKeepsItsShares) {
  const std::vector<uint64_t> sizes = Draw("weighted:2000=60,1000000=10,20000=30", 10000);
  const auto share = [&sizes](uint64_t size) {
    return std::count(sizes.begin(), sizes.end(), size);
  };
  EXPECT_NEAR(static_cast<double>(share(2000)), 6000, 200);
  EXPECT_NEAR(static_cast<double>(share(20000)), 3000, 200);
  EXPECT_EQ(share(2000) + share(20000) + share(1000000), 10000);
}

TEST(SizeModelTest, CountsHaveLimitsOfTheirOwn) {
  EXPECT_EQ(SizeModel::ParseCounts("0")->SizeOf(7), 0u);
  EXPECT_EQ(SizeModel::ParseCounts("100000")->SizeOf(7), 100000u);
  EXPECT_TRUE(SizeModel::ParseCounts("weighted:0=1,1=1").ok());
  EXPECT_LE(SizeModel::ParseCounts("lognormal:50000:9")->SizeOf(12345), 100000u);
  for (const char* text : {"", "-1", "100001", "uniform:0-100001", "weighted:0=0", "ten"}) {
    const absl::StatusOr<SizeModel> model = SizeModel::ParseCounts(text);
    ASSERT_FALSE(model.ok()) << text;
    EXPECT_NE(model.status().message().find("uniform:0-50"), absl::string_view::npos);
  }
}

TEST(SizeModelTest, MistakesAreNamed) {
  for (const char* text :
       {"", "5000", "fixed:", "fixed:10", "fixed:99999999999", "uniform:1000", "uniform:2000-1000",
        "lognormal:20000", "lognormal:20000:-1", "lognormal:20000:nan", "pareto:1:2",
        "weighted:", "weighted:2000", "weighted:2000=0", "weighted:100=1", "weighted:2000=1,",
        "weighted:2000=1000001"}) {
    const absl::StatusOr<SizeModel> model = SizeModel::Parse(text);
    ASSERT_FALSE(model.ok()) << text;
    EXPECT_NE(model.status().message().find("lognormal:20000:1.2"), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace postern::maildrop
