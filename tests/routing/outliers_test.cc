#include "routing/outliers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace postern::routing {
namespace {

LoginTally Tally(DurationNs greeting, DurationNs login, uint64_t logins, uint64_t sys = 0) {
  LoginTally tally;
  tally.greetings[LatencyBucket(greeting)] = logins + sys;
  tally.accepted[LatencyBucket(login)] = logins;
  tally.sys_refusals = sys;
  return tally;
}

OutlierRules Rules() {
  OutlierRules rules;
  rules.slow_factor = 3;
  rules.sys_percent = 50;
  return rules;
}

constexpr DurationNs kFast = 20 * kMillisecond;
constexpr DurationNs kSlow = 2 * kSecond;

TEST(LatencyScaleTest, BucketsAreInOrderAndHoldWhatTheySay) {
  size_t last = 0;
  for (DurationNs duration = 1; duration < 200 * kSecond; duration += 1 + duration / 50) {
    const size_t bucket = LatencyBucket(duration);
    ASSERT_LT(bucket, kLatencyBuckets);
    EXPECT_GE(bucket, last);
    EXPECT_LE(bucket, last + 1) << duration;
    EXPECT_GE(duration, LatencyBucketBegin(bucket));
    if (bucket + 1 < kLatencyBuckets) {
      EXPECT_LT(duration, LatencyBucketBegin(bucket + 1));
    }
    last = bucket;
  }
  EXPECT_EQ(last, kLatencyBuckets - 1);
  EXPECT_EQ(LatencyBucket(-1), 0u);
  EXPECT_EQ(LatencyBucket(INT64_MAX), kLatencyBuckets - 1);
}

TEST(QuantileTest, IsNearAndIgnoresAFewThatAreFarOff) {
  for (const DurationNs each : {3 * kMillisecond, 70 * kMillisecond, kSecond, 20 * kSecond}) {
    LatencyCounts counts{};
    counts[LatencyBucket(each)] = 60;
    counts[LatencyBucket(60 * kSecond)] += 20;
    counts[LatencyBucket(0)] += 20;
    const auto median = static_cast<double>(Quantile(counts, 0.5));
    EXPECT_LT(median, static_cast<double>(each) * 1.3);
    EXPECT_GT(median, static_cast<double>(each) / 1.3);
  }
  EXPECT_EQ(Quantile(LatencyCounts{}, 0.5), 0);
  LatencyCounts counts{};
  counts[LatencyBucket(kFast)] = 70;
  counts[LatencyBucket(kSlow)] = 30;
  EXPECT_LT(Quantile(counts, 0.7), kFast * 2);
  EXPECT_GT(Quantile(counts, 0.75), kSlow / 2);
}

TEST(LoginWindowTest, OldLoginsFallOut) {
  LoginWindow window;
  EXPECT_EQ(Total(window.Recent().accepted), 0u);
  LoginTally total;
  uint64_t most = 0;
  // Ten logins a second.
  for (int i = 0; i <= 600; ++i) {
    total.accepted[3] += 1;
    window.Note(total, i * kSecond / 10, 30 * kSecond);
    most = std::max(most, Total(window.Recent().accepted));
    if (i == 100) {
      EXPECT_EQ(Total(window.Recent().accepted), 100u);
    }
  }
  // A window and a tenth at most.
  EXPECT_GE(Total(window.Recent().accepted), 300u);
  EXPECT_LE(most, 330u);
  window.Forget(total, 61 * kSecond);
  EXPECT_EQ(Total(window.Recent().accepted), 0u);
  total.accepted[4] += 7;
  window.Note(total, 62 * kSecond, 30 * kSecond);
  EXPECT_EQ(window.Recent().accepted[4], 7u);
  // After a long time without a look all is old.
  window.Note(total, 500 * kSecond, 30 * kSecond);
  window.Note(total, 600 * kSecond, 30 * kSecond);
  EXPECT_EQ(Total(window.Recent().accepted), 0u);
}

TEST(OutliersTest, TheSlowOneIsFoundWithItsReason) {
  const auto found = FindOutliers(
      Rules(), {Tally(kFast, kFast, 100), Tally(kFast, kSlow, 30), Tally(kFast, kFast, 100)});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].member, 1u);
  EXPECT_EQ(found[0].cause, EjectCause::kSlowLogin);
  EXPECT_EQ(found[0].reason,
            "slow login: half of the last 30 accepted logins took more than 1879 ms, three "
            "quarters at the other backends less than 23 ms");
  const auto greeting = FindOutliers(Rules(), {Tally(kFast, kFast, 50), Tally(kSlow, kFast, 50)});
  ASSERT_EQ(greeting.size(), 1u);
  EXPECT_EQ(greeting[0].member, 1u);
  EXPECT_EQ(greeting[0].cause, EjectCause::kSlowGreeting);
}

// When a pool becomes slow, half of one's logins are slow a moment before half of the others' are.
TEST(OutliersTest, TheFirstToBecomeSlowIsNotTheOnlyOne) {
  LoginTally first = Tally(kFast, kFast, 24);
  LoginTally others = Tally(kFast, kFast, 26);
  first.accepted[LatencyBucket(kSlow)] = 26;
  others.accepted[LatencyBucket(kSlow)] = 24;
  EXPECT_TRUE(FindOutliers(Rules(), {first, others, others}).empty());
  others.accepted[LatencyBucket(kSlow)] = 4;
  EXPECT_EQ(FindOutliers(Rules(), {first, others, others}).size(), 1u);
}

TEST(OutliersTest, TheWorstComesFirst) {
  const auto found = FindOutliers(
      Rules(), {Tally(kFast, kFast, 50), Tally(kFast, kSecond, 50), Tally(kFast, kFast, 50),
                Tally(kFast, 30 * kSecond, 50), Tally(kFast, kFast, 50)});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].member, 3u);
  EXPECT_EQ(found[1].member, 1u);
}

TEST(OutliersTest, NobodyIsFoundWhere) {
  struct Case {
    const char* why;
    std::vector<LoginTally> recent;
  };
  const Case kCases[] = {
      {"all are slow", {Tally(kSlow, kSlow, 50), Tally(kSlow, kSlow, 50), Tally(kSlow, kSlow, 50)}},
      {"it is below the floor", {Tally(kFast, kFast, 50), Tally(kFast, kSecond / 3, 50)}},
      {"it is slower by less than the factor",
       {Tally(kFast, kSecond, 50), Tally(kFast, kSlow, 50)}},
      {"there were too few logins", {Tally(kFast, kFast, 50), Tally(kFast, kSlow, 19)}},
      {"the other had too few", {Tally(kFast, kFast, 19), Tally(kFast, kSlow, 50)}},
      {"it is alone", {Tally(kSlow, kSlow, 5, 50)}},
      {"nobody is there", {}},
      {"all say SYS", {Tally(kFast, kFast, 5, 50), Tally(kFast, kFast, 3, 40)}},
      {"few say SYS", {Tally(kFast, kFast, 50), Tally(kFast, kFast, 51, 49)}},
      // What most of them do is the rule.
      {"most are slow",
       {Tally(kFast, kFast, 50), Tally(kFast, kSlow, 50), Tally(kFast, kSlow, 50)}},
  };
  for (const Case& one : kCases) {
    const auto found = FindOutliers(Rules(), one.recent);
    EXPECT_TRUE(found.empty()) << one.why << ": " << found.front().reason;
  }
}

TEST(OutliersTest, WhoSaysSysIsFoundBesideOthersThatDoNot) {
  const auto found = FindOutliers(Rules(), {Tally(kFast, kFast, 90, 10),
                                            Tally(kFast, kFast, 10, 30), Tally(kFast, kFast, 100)});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].member, 1u);
  EXPECT_EQ(found[0].cause, EjectCause::kSysRefusals);
  EXPECT_EQ(found[0].reason,
            "refuses logins: 75 % of the last 40 were answered [SYS/...], at the other backends "
            "10 %");
}

TEST(OutliersTest, EachRuleIsOffAlone) {
  const std::vector<LoginTally> recent = {Tally(kFast, kFast, 50), Tally(kSlow, kSlow, 20, 80)};
  OutlierRules rules = Rules();
  EXPECT_EQ(FindOutliers(rules, recent).size(), 3u);
  rules.slow_factor = 0;
  EXPECT_EQ(FindOutliers(rules, recent).size(), 1u);
  EXPECT_TRUE(rules.on());
  rules.sys_percent = 0;
  EXPECT_TRUE(FindOutliers(rules, recent).empty());
  EXPECT_FALSE(rules.on());
}

}  // namespace
}  // namespace postern::routing
