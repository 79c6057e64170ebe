#include "routing/spread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <thread>
#include <vector>

namespace postern::routing {
namespace {

using ::testing::ElementsAre;

std::vector<int> Numbers(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// Backends made of numbers.
struct World {
  World(Balance kind, int count)
      : spread(kind, Numbers(count)),
        weights(static_cast<size_t>(count), 100),
        seats(static_cast<size_t>(count), 0) {}

  int Choose(absl::Span<int> best) {
    const uint32_t most = *std::max_element(weights.begin(), weights.end());
    return spread.Choose(
        most, [this](int i) { return weights[static_cast<size_t>(i)]; },
        [this](int i) { return seats[static_cast<size_t>(i)]; }, best);
  }
  int Choose() {
    int best = -1;
    return Choose(absl::MakeSpan(&best, 1)) == 0 ? -1 : best;
  }
  std::vector<int> Count(int logins) {
    std::vector<int> counts(weights.size());
    for (int i = 0; i < logins; ++i) ++counts[static_cast<size_t>(Choose())];
    return counts;
  }

  Spread spread;
  std::vector<uint32_t> weights;
  std::vector<int64_t> seats;
};

TEST(SpreadTest, EqualsTakeTurns) {
  World world(Balance::kRoundRobin, 3);
  EXPECT_THAT((std::vector<int>{world.Choose(), world.Choose(), world.Choose(), world.Choose()}),
              ElementsAre(0, 1, 2, 0));
}

TEST(SpreadTest, WeightedTurns) {
  World world(Balance::kRoundRobin, 5);
  world.weights = {100, 50, 10, 0, 40};
  const std::vector<int> counts = world.Count(20000);
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_NEAR(counts[i], 100 * static_cast<int>(world.weights[i]), 25) << i;
  }
  // Also over a short stretch: nobody gets its turns in a heap.
  std::vector<int> soon = world.Count(40);
  EXPECT_NEAR(soon[0], 20, 2);
  EXPECT_NEAR(soon[1], 10, 2);
}

TEST(SpreadTest, TurnsOfMissingOnesGoToAllOthers) {
  World world(Balance::kRoundRobin, 10);
  for (size_t i = 0; i < 5; ++i) world.weights[i] = 0;
  const std::vector<int> counts = world.Count(5000);
  for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(counts[i], i < 5 ? 0 : 1000, 2) << i;
}

TEST(SpreadTest, AFewOfVeryMany) {
  World world(Balance::kRoundRobin, 1000);
  std::fill(world.weights.begin(), world.weights.end(), 0);
  world.weights[17] = 100;
  world.weights[900] = 300;
  const std::vector<int> counts = world.Count(8000);
  EXPECT_NEAR(counts[17], 2000, 250);
  EXPECT_NEAR(counts[900], 6000, 250);
  world.weights[17] = world.weights[900] = 0;
  EXPECT_EQ(world.Choose(), -1);
}

TEST(SpreadTest, FewestSessionsForTheWeight) {
  World world(Balance::kLeastSessions, 3);
  world.seats = {10, 3, 5};
  EXPECT_EQ(world.Choose(), 1);
  world.weights = {400, 100, 100};  // 11 / 4 is less than 4 / 1
  EXPECT_EQ(world.Choose(), 0);
  world.weights = {0, 0, 100};
  EXPECT_EQ(world.Choose(), 2);
  world.weights = {0, 0, 0};
  EXPECT_EQ(world.Choose(), -1);
}

TEST(SpreadTest, SessionsStayExactlyBalanced) {
  World world(Balance::kLeastSessions, 8);
  world.weights = {100, 100, 100, 100, 200, 200, 50, 50};
  for (int i = 0; i < 900; ++i) ++world.seats[static_cast<size_t>(world.Choose())];
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(static_cast<double>(world.seats[i]), world.weights[i], 1.0) << i;
  }
}

TEST(SpreadTest, SamplesKeepALargePoolEven) {
  World world(Balance::kLeastSessions, 1000);
  for (int i = 0; i < 50000; ++i) ++world.seats[static_cast<size_t>(world.Choose())];
  const auto [least, most] = std::minmax_element(world.seats.begin(), world.seats.end());
  EXPECT_LE(*most, 52);
  EXPECT_GE(*least, 45);
}

TEST(SpreadTest, GivesOthersForTheCaseThatTheFirstFails) {
  for (const Balance kind : {Balance::kRoundRobin, Balance::kLeastSessions}) {
    World world(kind, 6);
    world.weights[2] = 0;
    for (int round = 0; round < 20; ++round) {
      std::array<int, 4> best{-1, -1, -1, -1};
      ASSERT_EQ(world.Choose(absl::MakeSpan(best)), 4);
      std::sort(best.begin(), best.end());
      EXPECT_EQ(std::unique(best.begin(), best.end()), best.end());
      EXPECT_EQ(std::count(best.begin(), best.end(), 2), 0);
    }
    std::fill(world.weights.begin(), world.weights.end(), 0);
    world.weights[5] = world.weights[0] = 1;
    std::array<int, 4> best{};
    EXPECT_EQ(world.Choose(absl::MakeSpan(best)), 2);
  }
}

// Workers share the turns.
TEST(SpreadTest, ManyThreads) {
  const Spread spread(Balance::kRoundRobin, Numbers(7));
  std::vector<std::map<int, int>> counts(4);
  std::vector<std::thread> threads;
  for (std::map<int, int>& mine : counts) {
    threads.emplace_back([&spread, &mine] {
      for (int i = 0; i < 7000; ++i) {
        int best = -1;
        spread.Choose(
            1, [](int) { return 1u; }, [](int) { return int64_t{0}; }, absl::MakeSpan(&best, 1));
        ++mine[best];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 7; ++i) {
    int sum = 0;
    for (std::map<int, int>& mine : counts) sum += mine[i];
    EXPECT_EQ(sum, 4000) << i;
  }
}

}  // namespace
}  // namespace postern::routing
