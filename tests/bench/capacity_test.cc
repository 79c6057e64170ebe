#include "bench/load/capacity.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::load {
namespace {

// A target that serves `capacity` a second, and a generator that can offer `generator` a second.
struct World {
  double capacity = 700;
  double generator = 1e9;
};

Results RunIn(const World& world, const Options& options) {
  const double rate = options.rate.rate_max();
  Results results;
  results.first_start = 0;
  results.last_end = options.duration;
  results.endings[0] = static_cast<uint64_t>(options.rate.sessions());
  const bool slow = rate > world.capacity || rate > world.generator;
  results.spans[static_cast<size_t>(Span::kSession)].Record(slow ? kSecond : kMillisecond);
  results.thread_busy_max = rate > world.generator ? 0.99 : 0.2;
  return results;
}

struct Search {
  absl::StatusOr<Capacity> capacity;
  size_t shown = 0;
};

Search Find(const World& world, Options options = {}, int steps_max = 100) {
  options.find_capacity = true;
  if (options.rate.empty()) options.rate = RatePlan::Constant(50, kSecond);
  int steps = 0;
  size_t shown = 0;
  absl::StatusOr<Capacity> capacity = FindCapacity(
      options,
      [&world](const Options& step) -> absl::StatusOr<Results> { return RunIn(world, step); },
      [&]() { return steps++ < steps_max; }, [&shown](const CapacityStep&) { ++shown; });
  EXPECT_TRUE(capacity.ok()) << capacity.status();
  return {std::move(capacity), shown};
}

TEST(CapacitySearchTest, GrowsThenHalvesTheRest) {
  CapacitySearch search(100, 1e6);
  std::vector<double> rates;
  while (!search.done()) {
    rates.push_back(search.rate());
    search.Report(search.rate() <= 250);
  }
  ASSERT_GE(rates.size(), 4u);
  EXPECT_EQ(rates[0], 100);
  EXPECT_EQ(rates[1], 200);
  EXPECT_EQ(rates[2], 400);
  EXPECT_EQ(rates[3], 400);  // a miss is tried again
  EXPECT_LE(search.best(), 250);
  EXPECT_GT(search.miss(), 250);
  EXPECT_LE(search.miss() / search.best(), CapacitySearch::kPrecision);
  EXPECT_LT(rates.size(), 16u);
}

TEST(CapacitySearchTest, OneHiccupIsNoLimit) {
  CapacitySearch search(100, 400);
  search.Report(false);
  EXPECT_EQ(search.rate(), 100);
  search.Report(true);
  EXPECT_EQ(search.rate(), 200);
  search.Report(false);  // another hiccup, not the second one
  search.Report(true);
  search.Report(true);
  EXPECT_TRUE(search.done());
  EXPECT_EQ(search.best(), 400);
}

TEST(CapacitySearchTest, GoesDownWhenTheFirstRateIsTooMuch) {
  CapacitySearch search(1000, 1e6);
  while (!search.done()) search.Report(search.rate() <= 70);
  EXPECT_LE(search.best(), 70);
  EXPECT_GE(search.best(), 70 / CapacitySearch::kPrecision);
  CapacitySearch hopeless(1000, 1e6);
  int tries = 0;
  for (; !hopeless.done(); ++tries) hopeless.Report(false);
  EXPECT_EQ(hopeless.best(), 0);
  EXPECT_LT(tries, 30);
}

TEST(FindCapacityTest, FindsWhatTheTargetCanDo) {
  const Search search = Find({});
  EXPECT_EQ(search.capacity->limit, Capacity::Limit::kTarget);
  EXPECT_LE(search.capacity->rate, 700);
  EXPECT_GT(search.capacity->rate, 640);
  EXPECT_GT(search.capacity->miss, 700);
  EXPECT_EQ(search.shown, search.capacity->steps.size());
  const Options options;
  EXPECT_NE(CapacityText(options, *search.capacity).find("\ncapacity: "), std::string::npos);
  const nlohmann::ordered_json json = CapacityJson(options, *search.capacity);
  EXPECT_EQ(json["limit"], "target");
  EXPECT_EQ(json["capacity"], search.capacity->rate);
  EXPECT_EQ(json["steps"].size(), search.capacity->steps.size());
}

TEST(FindCapacityTest, SaysWhenTheGeneratorWasTheLimit) {
  World world;
  world.generator = 300;
  const Search search = Find(world);
  EXPECT_EQ(search.capacity->limit, Capacity::Limit::kGenerator);
  EXPECT_LE(search.capacity->rate, 300);
  const Options options;
  const std::string text = CapacityText(options, *search.capacity);
  EXPECT_NE(text.find("NO CAPACITY FOUND: this generator was the limit"), std::string::npos);
  EXPECT_TRUE(CapacityJson(options, *search.capacity)["capacity"].is_null());
}

TEST(FindCapacityTest, OtherWaysToEnd) {
  Options options;
  options.rate_max = 500;
  EXPECT_EQ(Find({}, options).capacity->limit, Capacity::Limit::kRateMax);
  EXPECT_EQ(Find({}, options).capacity->rate, 500);
  EXPECT_EQ(Find({}, {}, /*steps_max=*/2).capacity->limit, Capacity::Limit::kTime);
  EXPECT_EQ(Find({}, {}, /*steps_max=*/2).capacity->rate, 100);
  World world;
  world.capacity = 0.5;
  EXPECT_EQ(Find(world).capacity->limit, Capacity::Limit::kNothing);
  EXPECT_EQ(Find(world).capacity->rate, 0);
}

TEST(JudgeStepTest, StartsThatAreLateBecauseOfTheGeneratorCount) {
  Options options;
  options.rate = RatePlan::Constant(100, kSecond);
  options.duration = kSecond;
  const Objective objective = *Objective::Parse("p99<200ms");
  Results results = RunIn({}, options);
  results.behind = 50;
  EXPECT_FALSE(JudgeStep(options, objective, results).generator_limited);  // it met it
  results.spans[static_cast<size_t>(Span::kSession)].Record(kSecond);
  EXPECT_TRUE(JudgeStep(options, objective, results).generator_limited);
  results.behind = 0;
  const CapacityStep step = JudgeStep(options, objective, results);
  EXPECT_FALSE(step.generator_limited);
  EXPECT_EQ(step.achieved, 100);
  EXPECT_EQ(step.problem, "p99 of session is 1000 ms");
  EXPECT_NE(StepLine(step).find("p99 of session is 1000 ms"), std::string::npos);
}

}  // namespace
}  // namespace postern::load
