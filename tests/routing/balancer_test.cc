#include "routing/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

std::vector<Balancer::Member> Members(int count, uint32_t weight = 100) {
  std::vector<Balancer::Member> members;
  for (int i = 0; i < count; ++i) members.push_back({absl::StrCat("mail", i), i, weight});
  return members;
}

uint64_t HashOf(int user) { return StableHash(absl::StrCat("user", user, "@example.org")); }

int First(const Balancer& balancer, int user) {
  int best = -1;
  EXPECT_EQ(balancer.Pick(HashOf(user), absl::MakeSpan(&best, 1)), 1);
  return best;
}

std::vector<int> Order(const Balancer& balancer, int user) {
  std::vector<int> best(Balancer::kPickMax);
  best.resize(static_cast<size_t>(balancer.Pick(HashOf(user), absl::MakeSpan(best))));
  return best;
}

class BalancerTest : public ::testing::TestWithParam<Balance> {};
INSTANTIATE_TEST_SUITE_P(Kinds, BalancerTest,
                         ::testing::Values(Balance::kRendezvous, Balance::kMaglev),
                         [](const auto& kind) {
                           return kind.param == Balance::kMaglev ? "Maglev" : "Rendezvous";
                         });

TEST_P(BalancerTest, NobodyAndOne) {
  const Balancer nobody(GetParam(), {});
  int best = -1;
  EXPECT_EQ(nobody.Pick(7, absl::MakeSpan(&best, 1)), 0);
  const Balancer weightless(GetParam(), Members(3, 0));
  EXPECT_EQ(weightless.Pick(7, absl::MakeSpan(&best, 1)), 0);
  EXPECT_EQ(weightless.size(), 0u);
  const Balancer one(GetParam(), {{"only", 42, 1}});
  EXPECT_EQ(Order(one, 1), std::vector<int>({42}));
  EXPECT_EQ(one.Pick(7, {}), 0);
}

TEST_P(BalancerTest, UsersOfAnUnusableOneGoWhereTheirNextIs) {
  for (const uint32_t other_weight : {100u, 300u}) {
    std::vector<Balancer::Member> members = Members(5);
    members[3].weight = other_weight;
    const Balancer balancer(GetParam(), members);
    int moved = 0;
    for (int user = 0; user < 500; ++user) {
      const std::vector<int> order = Order(balancer, user);
      std::vector<int> best(Balancer::kPickMax);
      const auto count = static_cast<size_t>(balancer.PickUsable(
          HashOf(user), absl::MakeSpan(best), [](int backend) { return backend != 2; }));
      ASSERT_EQ(count, 4u);
      EXPECT_EQ(std::count(best.begin(), best.end(), 2), 0);
      EXPECT_EQ(best[0], order[0] == 2 ? order[1] : order[0]);
      moved += order[0] == 2 ? 1 : 0;
      int only = -1;
      EXPECT_EQ(balancer.PickUsable(HashOf(user), absl::MakeSpan(&only, 1),
                                    [](int backend) { return backend != 2; }),
                1);
      EXPECT_EQ(only, best[0]);
      EXPECT_EQ(balancer.PickUsable(HashOf(user), absl::MakeSpan(best), [](int) { return false; }),
                0);
    }
    EXPECT_GT(moved, 30);
  }
}

TEST_P(BalancerTest, OrderOfConfigurationDoesNotMatter) {
  std::vector<Balancer::Member> members = Members(20);
  for (size_t i = 0; i < members.size(); ++i) members[i].weight = static_cast<uint32_t>(i % 4);
  const Balancer sorted(GetParam(), members);
  std::mt19937 random(1);
  std::shuffle(members.begin(), members.end(), random);
  const Balancer shuffled(GetParam(), members);
  for (int user = 0; user < 2000; ++user) EXPECT_EQ(Order(sorted, user), Order(shuffled, user));
}

TEST_P(BalancerTest, CandidatesDifferAndBeginWithTheFirst) {
  const Balancer balancer(GetParam(), Members(6));
  for (int user = 0; user < 1000; ++user) {
    const std::vector<int> order = Order(balancer, user);
    ASSERT_EQ(order.size(), Balancer::kPickMax);
    EXPECT_EQ(order[0], First(balancer, user));
    std::vector<int> unique = order;
    std::sort(unique.begin(), unique.end());
    EXPECT_EQ(std::unique(unique.begin(), unique.end()), unique.end());
  }
  EXPECT_EQ(Order(Balancer(GetParam(), Members(3)), 1).size(), 3u);
}

// Within four standard deviations of what chance allows, plus what the table rounds off.
TEST_P(BalancerTest, SharesFollowTheWeights) {
  const std::vector<std::vector<uint32_t>> tables = {
      {1, 1, 1},
      {100, 100, 100, 100},
      {100, 200},
      {1, 2, 3, 4},
      {0, 5, 5},
      {1000, 1, 1000},
      {4294967295, 2147483648, 1073741824},
      {100, 99, 101},
  };
  constexpr int kUsers = 100000;
  for (const std::vector<uint32_t>& weights : tables) {
    std::vector<Balancer::Member> members = Members(static_cast<int>(weights.size()));
    double total = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      members[i].weight = weights[i];
      total += weights[i];
    }
    const Balancer balancer(GetParam(), members);
    std::vector<int> users(weights.size());
    for (int user = 0; user < kUsers; ++user) {
      ++users[static_cast<size_t>(First(balancer, user))];
    }
    for (size_t i = 0; i < weights.size(); ++i) {
      const double share = weights[i] / total;
      const double expected = kUsers * share;
      const double tolerance = 4 * std::sqrt(expected * (1 - share)) + 0.002 * expected;
      EXPECT_NEAR(users[i], expected, tolerance) << "weight " << weights[i] << " of " << total;
    }
  }
}

TEST_P(BalancerTest, AThousandBackendsShareEvenly) {
  const Balancer balancer(GetParam(), Members(1000));
  std::vector<int> users(1000);
  for (int user = 0; user < 200000; ++user) ++users[static_cast<size_t>(First(balancer, user))];
  const auto [least, most] = std::minmax_element(users.begin(), users.end());
  EXPECT_GT(*least, 200 - 5 * 15);
  EXPECT_LT(*most, 200 + 5 * 15);
}

// Second candidates are spread too: the users of a lost backend do not fall on one other.
TEST_P(BalancerTest, NextCandidatesAreSpread) {
  const Balancer balancer(GetParam(), Members(5));
  std::vector<int> next(5);
  for (int user = 0; user < 50000; ++user) {
    const std::vector<int> order = Order(balancer, user);
    if (order[0] == 0) ++next[static_cast<size_t>(order[1])];
  }
  for (size_t i = 1; i < next.size(); ++i) EXPECT_NEAR(next[i], 2500, 5 * 50);
}

// Users that move, beyond those of the backend that goes.
int Moved(Balance kind, const std::vector<Balancer::Member>& members, size_t gone, int users) {
  std::vector<Balancer::Member> fewer = members;
  fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(gone));
  const Balancer before(kind, members);
  const Balancer after(kind, fewer);
  int moved = 0;
  for (int user = 0; user < users; ++user) {
    const int home = First(before, user);
    const int now = First(after, user);
    EXPECT_NE(now, members[gone].index);
    if (home != members[gone].index && now != home) ++moved;
  }
  return moved;
}

TEST(RendezvousTest, RemovalMovesNobodyElse) {
  std::vector<Balancer::Member> members = Members(10);
  for (size_t gone = 0; gone < members.size(); ++gone) {
    EXPECT_EQ(Moved(Balance::kRendezvous, members, gone, 5000), 0);
  }
  for (size_t i = 0; i < members.size(); ++i)
    members[i].weight = static_cast<uint32_t>(50 + 10 * i);
  for (size_t gone = 0; gone < members.size(); ++gone) {
    EXPECT_EQ(Moved(Balance::kRendezvous, members, gone, 5000), 0);
  }
}

TEST(MaglevTest, RemovalMovesFewOthers) {
  std::vector<Balancer::Member> members = Members(10);
  constexpr int kUsers = 20000;
  for (size_t gone = 0; gone < members.size(); ++gone) {
    EXPECT_LE(Moved(Balance::kMaglev, members, gone, kUsers), kUsers * 5 / 100);
  }
}

// The users of the one that goes find their second candidate in its place.
TEST(RendezvousTest, RemovalPromotesTheNextCandidate) {
  const std::vector<Balancer::Member> members = Members(8);
  std::vector<Balancer::Member> fewer = members;
  fewer.erase(fewer.begin() + 3);
  const Balancer before(Balance::kRendezvous, members);
  const Balancer after(Balance::kRendezvous, fewer);
  for (int user = 0; user < 5000; ++user) {
    const std::vector<int> order = Order(before, user);
    EXPECT_EQ(First(after, user), order[0] == 3 ? order[1] : order[0]);
  }
}

// Users move only to a backend whose weight grows, and only away from one whose weight shrinks;
// also across the border between equal weights, where no logarithm is taken, and others.
TEST(RendezvousTest, WeightChangesMoveOnlyTheirShare) {
  for (const uint32_t weight : {150u, 101u, 99u, 50u, 0u}) {
    std::vector<Balancer::Member> members = Members(10);
    const Balancer before(Balance::kRendezvous, members);
    members[4].weight = weight;
    const Balancer after(Balance::kRendezvous, members);
    int moved = 0;
    for (int user = 0; user < 20000; ++user) {
      const int home = First(before, user);
      const int now = First(after, user);
      if (now == home) continue;
      ++moved;
      EXPECT_EQ(weight > 100 ? now : home, 4);
    }
    EXPECT_LE(moved, 2100 * std::abs(static_cast<int>(weight) - 100) / 100 + 60) << weight;
    if (weight > 101 || weight < 99) {
      EXPECT_GT(moved, 500) << weight;
    }
  }
}

// Weights that are equal mean the same whatever their value: 1 and 1 is 100 and 100.
// A pool of two leaves nothing to skip, so duels tell what the order must be.
TEST(RendezvousTest, SkippedMembersWouldHaveLost) {
  for (const bool equal : {true, false}) {
    std::vector<Balancer::Member> members = Members(40);
    for (size_t i = 0; i < members.size() && !equal; ++i) {
      members[i].weight = static_cast<uint32_t>(1 + i * i % 300);
    }
    const Balancer all(Balance::kRendezvous, members);
    for (int user = 0; user < 100; ++user) {
      std::vector<int> wins(members.size());
      for (size_t a = 0; a < members.size(); ++a) {
        for (size_t b = 0; b < a; ++b) {
          const Balancer duel(Balance::kRendezvous, {members[a], members[b]});
          ++wins[static_cast<size_t>(Order(duel, user)[0])];
        }
      }
      const std::vector<int> order = Order(all, user);
      ASSERT_EQ(order.size(), Balancer::kPickMax);
      for (size_t place = 0; place < order.size(); ++place) {
        EXPECT_EQ(wins[static_cast<size_t>(order[place])],
                  static_cast<int>(members.size() - 1 - place));
      }
      EXPECT_EQ(First(all, user), order[0]);
    }
  }
}

TEST(RendezvousTest, OnlyRatiosMatter) {
  std::vector<Balancer::Member> members = Members(5);
  for (size_t i = 0; i < 5; ++i) members[i].weight = static_cast<uint32_t>(i + 1);
  const Balancer small(Balance::kRendezvous, members);
  for (Balancer::Member& member : members) member.weight *= 1000;
  const Balancer large(Balance::kRendezvous, members);
  for (int user = 0; user < 2000; ++user) EXPECT_EQ(Order(small, user), Order(large, user));
}

// Golden values: whoever changes them moves every user of every installation to another backend.
TEST(GoldenTest, HashesAndChoicesNeverChange) {
  EXPECT_EQ(StableHash(""), 0x2d06800538d394c2ULL);
  EXPECT_EQ(StableHash("alice@example.org"), 0x581b7b790e2c959cULL);
  EXPECT_EQ(MixBits(0x0123456789abcdefULL), 0x87cbfbfe89022ceaULL);
  std::vector<Balancer::Member> members = Members(10);
  std::string rendezvous;
  std::string maglev;
  std::string weighted;
  const Balancer by_lot(Balance::kRendezvous, members);
  const Balancer by_table(Balance::kMaglev, members);
  for (size_t i = 0; i < members.size(); ++i) members[i].weight = static_cast<uint32_t>(10 + 7 * i);
  const Balancer by_weight(Balance::kRendezvous, members);
  for (int user = 0; user < 40; ++user) {
    absl::StrAppend(&rendezvous, First(by_lot, user));
    absl::StrAppend(&maglev, First(by_table, user));
    for (const int member : Order(by_weight, user)) absl::StrAppend(&weighted, member);
  }
  EXPECT_EQ(rendezvous, "7960084129600958798914444669947783485864");
  EXPECT_EQ(maglev, "8160853329778452640612739337370682166788");
  EXPECT_EQ(weighted,
            "78949378638283570397847547291857827996376183670805879872597487457893978687369786"
            "71568496476949824796684769729482948194877948745385148340498187625397879365844726");
}

}  // namespace
}  // namespace postern::routing
