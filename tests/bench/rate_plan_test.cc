#include "bench/load/rate_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace postern::load {
namespace {

double Seconds(DurationNs duration) { return static_cast<double>(duration) / kSecond; }

std::vector<DurationNs> All(const RatePlan& plan, Arrivals arrivals, uint64_t threads = 1) {
  std::vector<DurationNs> starts;
  for (uint64_t thread = 0; thread < threads; ++thread) {
    ArrivalClock clock(&plan, arrivals, 1, thread, threads);
    for (; clock.next() != kNever; clock.Advance()) starts.push_back(clock.next());
  }
  return starts;
}

TEST(RatePlanTest, AConstantRate) {
  const absl::StatusOr<RatePlan> plan = RatePlan::ParseRate("200", 10 * kSecond);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->length(), 10 * kSecond);
  EXPECT_DOUBLE_EQ(plan->sessions(), 2000);
  EXPECT_EQ(plan->TimeOf(0), 0);
  EXPECT_NEAR(Seconds(plan->TimeOf(100)), 0.5, 1e-6);
  EXPECT_EQ(plan->TimeOf(2000), kNever);
  EXPECT_EQ(plan->text(), "200");
}

TEST(RatePlanTest, ARampStartsMoreAndMore) {
  const absl::StatusOr<RatePlan> plan = RatePlan::ParseRate("100..300", 2 * kSecond);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_DOUBLE_EQ(plan->sessions(), 400);
  EXPECT_DOUBLE_EQ(plan->rate_max(), 300);
  // After one second 100 + 100 / 2 have been started.
  EXPECT_NEAR(Seconds(plan->TimeOf(150)), 1, 1e-6);
  const absl::StatusOr<RatePlan> down = RatePlan::ParseRate("300..100", 2 * kSecond);
  ASSERT_TRUE(down.ok()) << down.status();
  EXPECT_NEAR(Seconds(down->TimeOf(250)), 1, 1e-6);
  EXPECT_NE(down->TimeOf(399.9), kNever);
}

TEST(RatePlanTest, StepsFollowEachOther) {
  const absl::StatusOr<RatePlan> plan = RatePlan::ParseSteps("100,200,50:10s");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->length(), 30 * kSecond);
  EXPECT_DOUBLE_EQ(plan->sessions(), 3500);
  EXPECT_NEAR(Seconds(plan->TimeOf(1000)), 10, 1e-6);
  EXPECT_NEAR(Seconds(plan->TimeOf(2000)), 15, 1e-6);
  EXPECT_NEAR(Seconds(plan->TimeOf(3050)), 21, 1e-6);
}

TEST(RatePlanTest, MistakesAreRefused) {
  for (const char* text : {"", "x", "0", "-5", "1..", "..5", "1..x", "2000000", "nan", "inf"}) {
    EXPECT_FALSE(RatePlan::ParseRate(text, kSecond).ok()) << text;
  }
  for (const char* text : {"", "100", "100:", "100:x", "100,:1s", "x:1s", "100:0s", ":1s"}) {
    EXPECT_FALSE(RatePlan::ParseSteps(text).ok()) << text;
  }
  EXPECT_EQ(RatePlan::ParseRate("fast", kSecond).status().message(),
            "--rate: \"fast\" is no rate; write sessions a second, from 0.001 to 1000000");
}

TEST(ArrivalClockTest, ConstantArrivalsAreEvenOverAllThreads) {
  const RatePlan plan = RatePlan::Constant(1000, kSecond);
  const std::vector<DurationNs> starts = All(plan, Arrivals::kConstant, 3);
  ASSERT_EQ(starts.size(), 1000u);
  std::vector<bool> seen(1000);
  for (const DurationNs start : starts) {
    seen.at(static_cast<size_t>((start + kMillisecond / 2) / kMillisecond)) = true;
  }
  EXPECT_EQ(seen, std::vector<bool>(1000, true));
}

TEST(ArrivalClockTest, PoissonArrivalsHaveTheRateAndTheSpread) {
  const RatePlan plan = RatePlan::Constant(10000, kSecond);
  const std::vector<DurationNs> starts = All(plan, Arrivals::kPoisson, 2);
  EXPECT_NEAR(static_cast<double>(starts.size()), 10000, 400);
  // Of a Poisson process one gap in e is longer than the mean.
  int longer = 0;
  ArrivalClock clock(&plan, Arrivals::kPoisson, 1, 0, 1);
  int gaps = 0;
  for (DurationNs before = 0; clock.next() != kNever; clock.Advance()) {
    longer += clock.next() - before > 100 * kMicrosecond ? 1 : 0;
    before = clock.next();
    ++gaps;
  }
  EXPECT_NEAR(static_cast<double>(longer) / gaps, 0.368, 0.03);
}

TEST(ArrivalClockTest, TheSeedDecides) {
  const RatePlan plan = RatePlan::Constant(1000, kSecond);
  const ArrivalClock one(&plan, Arrivals::kPoisson, 1, 0, 1);
  const ArrivalClock same(&plan, Arrivals::kPoisson, 1, 0, 1);
  const ArrivalClock other(&plan, Arrivals::kPoisson, 2, 0, 1);
  EXPECT_EQ(one.next(), same.next());
  EXPECT_NE(one.next(), other.next());
}

}  // namespace
}  // namespace postern::load
