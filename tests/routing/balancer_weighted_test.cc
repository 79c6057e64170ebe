// Picking by the weights of the moment.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/balancer.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

constexpr int kBackends = 10;
constexpr int kUsers = 20000;
constexpr uint32_t kFull = 100 * 1000;

Balancer Make(Balance kind, bool last_has_weight = true) {
  std::vector<Balancer::Member> members;
  for (int i = 0; i < kBackends; ++i) {
    members.push_back(
        {absl::StrCat("mail", i), i, i + 1 < kBackends || last_has_weight ? 100u : 0u});
  }
  return Balancer(kind, members);
}

WeightBounds BoundsOf(const std::vector<uint32_t>& weights) {
  WeightBounds bounds;
  for (const uint32_t weight : weights) {
    bounds.most = std::max(bounds.most, weight);
    bounds.sum += weight;
  }
  return bounds;
}

uint64_t HashOf(int user) { return StableHash(absl::StrCat("user", user)); }

int PickOne(const Balancer& balancer, int user, const std::vector<uint32_t>& weights) {
  int best = -1;
  const int count = balancer.PickWeighted(HashOf(user), absl::MakeSpan(&best, 1), BoundsOf(weights),
                                          [&](int i) { return weights[static_cast<size_t>(i)]; });
  return count == 0 ? -1 : best;
}

class PickWeightedTest : public ::testing::TestWithParam<Balance> {};

TEST_P(PickWeightedTest, WithTheConfiguredWeightsItIsPick) {
  const Balancer balancer = Make(GetParam());
  const std::vector<uint32_t> weights(kBackends, kFull);
  for (int user = 0; user < 2000; ++user) {
    std::array<int, 4> plain{};
    std::array<int, 4> weighted{};
    ASSERT_EQ(balancer.Pick(HashOf(user), absl::MakeSpan(plain)), 4);
    ASSERT_EQ(balancer.PickWeighted(HashOf(user), absl::MakeSpan(weighted), BoundsOf(weights),
                                    [&](int i) { return weights[static_cast<size_t>(i)]; }),
              4);
    EXPECT_EQ(plain, weighted) << user;
  }
}

// One backend's weight grows in steps: its users come one after the other, each to stay, and
// nobody else moves.
TEST_P(PickWeightedTest, AGrowingWeightOnlyBringsUsers) {
  const Balancer balancer = Make(GetParam());
  std::vector<uint32_t> weights(kBackends, kFull);
  std::set<int> there;
  std::vector<int> elsewhere(kUsers, -1);
  for (const uint32_t percent : {5u, 20u, 50u, 80u, 100u}) {
    weights[3] = kFull * percent / 100;
    std::set<int> now;
    for (int user = 0; user < kUsers; ++user) {
      const int place = PickOne(balancer, user, weights);
      if (place == 3) {
        now.insert(user);
        continue;
      }
      int& before = elsewhere[static_cast<size_t>(user)];
      if (before >= 0) {
        EXPECT_EQ(place, before) << user;
      }
      before = place;
    }
    for (const int user : there) EXPECT_TRUE(now.count(user) > 0) << user;
    // 10 backends: of all users p / (p + 9) by rendezvous, p / 10 by Maglev's table.
    const double share = percent / 100.0;
    const double expected =
        GetParam() == Balance::kMaglev ? share / kBackends : share / (share + kBackends - 1);
    EXPECT_NEAR(static_cast<double>(now.size()) / kUsers, expected, 0.01) << percent;
    there = std::move(now);
  }
}

TEST_P(PickWeightedTest, ZeroIsNobody) {
  const Balancer balancer = Make(GetParam());
  std::vector<uint32_t> weights(kBackends, 0);
  EXPECT_EQ(PickOne(balancer, 1, weights), -1);
  // However little the only one is worth, it serves.
  weights[7] = 1;
  for (int user = 0; user < 100; ++user) EXPECT_EQ(PickOne(balancer, user, weights), 7);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PickWeightedTest,
                         ::testing::Values(Balance::kRendezvous, Balance::kMaglev),
                         [](const auto& kind) {
                           return kind.param == Balance::kMaglev ? "Maglev" : "Rendezvous";
                         });

TEST(PickWeightedRendezvousTest, SharesFollowTheWeights) {
  const Balancer balancer = Make(Balance::kRendezvous, /*last_has_weight=*/false);
  std::vector<uint32_t> weights(kBackends, kFull);
  weights[0] = 3 * kFull;
  weights[1] = kFull / 2;
  // One without a weight of its own is given some.
  std::vector<int> counts(kBackends);
  for (int user = 0; user < kUsers; ++user) {
    ++counts[static_cast<size_t>(PickOne(balancer, user, weights))];
  }
  const double unit = kUsers / 11.5;
  EXPECT_NEAR(counts[0], 3 * unit, 250);
  EXPECT_NEAR(counts[1], unit / 2, 150);
  EXPECT_NEAR(counts[kBackends - 1], unit, 200);
}

}  // namespace
}  // namespace postern::routing
