// Every choice is that of a plain reference, which draws all lots and sorts them.
#include "routing/rendezvous.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/numeric/bits.h"
#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "routing/balancer.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

// -ln((1024 - i) / 1024) in units of 2^-58, as a sum of ln(n / (n - 1)) = 2 atanh(1 / (2n - 1)).
std::vector<uint64_t> LogPoints() {
  std::vector<uint64_t> points = {0};
  for (uint64_t n = 1024; n > 512; --n) {
    const uint64_t odd = 2 * n - 1;
    uint64_t sum = 0;
    uint64_t k = 1;
    for (uint64_t power = (uint64_t{1} << 59) / odd; power > 0; power /= odd * odd) {
      sum += power / k;
      k += 2;
    }
    points.push_back(points.back() + sum);
  }
  return points;
}

// -ln(hash / 2^64), by its definition: halvings, and a line between two points.
uint64_t Cost(uint64_t hash) {
  static const auto* const points = new std::vector<uint64_t>(LogPoints());
  hash = std::max<uint64_t>(hash, 1);
  uint64_t cost = 0;
  while (hash >> 63 == 0) {
    hash <<= 1;
    cost += points->back();
  }
  const uint64_t below_one = ~hash + 1;
  const size_t left = std::min<size_t>(below_one >> 54, 511);
  const absl::uint128 rise = (*points)[left + 1] - (*points)[left];
  const absl::uint128 part = rise * (below_one - (static_cast<uint64_t>(left) << 54));
  return cost + (*points)[left] + static_cast<uint64_t>(part >> 54);
}

// Murmur3's finalizer, written out.
uint64_t Mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

using WeightOf = std::function<uint64_t(const Balancer::Member&)>;

std::vector<int> Reference(std::vector<Balancer::Member> members, uint64_t user_hash,
                           const WeightOf& weight, size_t wanted) {
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  struct Lot {
    uint64_t hash;
    uint64_t cost;
    uint64_t weight;
    int index;
    size_t place;
  };
  std::vector<Lot> lots;
  for (const Balancer::Member& member : members) {
    const uint64_t worth = weight(member);
    if (worth == 0) continue;
    const uint64_t hash = Mix(user_hash ^ StableHash(member.name));
    lots.push_back({hash, Cost(hash), worth, member.index, lots.size()});
  }
  std::sort(lots.begin(), lots.end(), [](const Lot& a, const Lot& b) {
    const absl::uint128 left = absl::uint128(a.cost) * b.weight;
    const absl::uint128 right = absl::uint128(b.cost) * a.weight;
    if (left != right) return left < right;
    return a.hash != b.hash ? a.hash > b.hash : a.place < b.place;
  });
  std::vector<int> order;
  for (size_t i = 0; i < std::min(lots.size(), wanted); ++i) order.push_back(lots[i].index);
  return order;
}

// Which weights a pool has: all kinds that matter to a filter that goes by the heaviest.
enum class Weights { kEqual, kSimilar, kAnything, kOneHeavy, kOneLight, kSomeNone, kHuge };

std::vector<Balancer::Member> Pool(int size, Weights kind, std::mt19937_64* random) {
  std::vector<Balancer::Member> members;
  for (int i = 0; i < size; ++i) {
    uint32_t weight = 100;
    if (kind == Weights::kSimilar) weight = static_cast<uint32_t>(90 + i % 20);
    if (kind == Weights::kAnything) weight = static_cast<uint32_t>((*random)() % 1000);
    if (kind == Weights::kOneHeavy && i == size / 2) weight = 10000;
    if (kind == Weights::kOneLight && i == size / 2) weight = 1;
    if (kind == Weights::kSomeNone && i % 3 == 0) weight = 0;
    if (kind == Weights::kHuge) weight = ~static_cast<uint32_t>((*random)() % 1000);
    members.push_back({absl::StrCat("mail", i), i, weight});
  }
  std::shuffle(members.begin(), members.end(), *random);
  return members;
}

constexpr Weights kAllKinds[] = {Weights::kEqual,    Weights::kSimilar,  Weights::kAnything,
                                 Weights::kOneHeavy, Weights::kOneLight, Weights::kSomeNone,
                                 Weights::kHuge};
constexpr int kSizes[] = {1,  2,  3,   4,   5,   8,   16,  17,  33,  48,
                          49, 64, 100, 250, 511, 512, 513, 777, 1000};

uint64_t UserHash(int user) { return StableHash(absl::StrCat("user", user, "@example.org")); }

std::vector<int> Picked(size_t wanted, const std::function<int(absl::Span<int>)>& pick) {
  std::vector<int> best(wanted, -1);
  const int count = pick(absl::MakeSpan(best));
  best.resize(static_cast<size_t>(count));
  return best;
}

// 7 kinds of 19 sizes, 60 users: 7,980 users' choices, each with all and with some usable.
TEST(RendezvousTest, ChoosesWhatTheReferenceChooses) {
  std::mt19937_64 random(1);
  for (const Weights kind : kAllKinds) {
    for (const int size : kSizes) {
      const std::vector<Balancer::Member> members = Pool(size, kind, &random);
      const Balancer balancer(Balance::kRendezvous, members);
      for (int user = 0; user < 60; ++user) {
        const uint64_t hash = UserHash(user * 1000 + size);
        const size_t wanted = 1 + static_cast<size_t>(user) % Balancer::kPickMax;
        const auto own = [](const Balancer::Member& member) { return member.weight; };
        ASSERT_EQ(Picked(wanted, [&](auto best) { return balancer.Pick(hash, best); }),
                  Reference(members, hash, own, wanted))
            << "kind " << static_cast<int>(kind) << ", size " << size << ", user " << user;
        // From all but one out to nearly all out.
        const uint64_t out_of_8 = static_cast<uint64_t>(user) % 9;
        const auto usable = [&](int index) {
          return Mix(static_cast<uint64_t>(index)) % 8 >= out_of_8;
        };
        ASSERT_EQ(
            Picked(wanted, [&](auto best) { return balancer.PickUsable(hash, best, usable); }),
            Reference(
                members, hash,
                [&](const auto& member) { return usable(member.index) ? member.weight : 0; },
                wanted))
            << "kind " << static_cast<int>(kind) << ", size " << size << ", user " << user;
      }
    }
  }
}

// Weights of the moment: operators', ramps, none, and bounds that are far too high or too low.
TEST(RendezvousTest, ChoosesWhatTheReferenceChoosesByWeightsOfTheMoment) {
  std::mt19937_64 random(2);
  for (const Weights kind : kAllKinds) {
    for (const int size : kSizes) {
      const std::vector<Balancer::Member> members = Pool(size, kind, &random);
      const Balancer balancer(Balance::kRendezvous, members);
      std::vector<uint32_t> now(members.size());
      for (const Balancer::Member& member : members) {
        uint32_t& weight = now[static_cast<size_t>(member.index)];
        weight = std::min(member.weight, 10000u) * 1000;
        if (random() % 4 == 0) weight /= 20;
        if (random() % 8 == 0) weight = static_cast<uint32_t>(random() % 1000000);
        if (random() % 8 == 0) weight = 0;
      }
      WeightBounds bounds;
      for (const uint32_t weight : now) {
        bounds.most = std::max(bounds.most, weight);
        bounds.sum += weight;
      }
      for (int user = 0; user < 60; ++user) {
        const uint64_t hash = UserHash(user * 1000 + size);
        const size_t wanted = 1 + static_cast<size_t>(user) % Balancer::kPickMax;
        WeightBounds said = bounds;
        if (user % 5 == 1) said.most *= 2;
        if (user % 5 == 2) said.sum *= 100;
        if (user % 5 == 3) said.sum /= 100;
        if (user % 5 == 4) said.sum = 0;
        ASSERT_EQ(
            Picked(wanted,
                   [&](auto best) {
                     return balancer.PickWeighted(hash, best, said, [&](int index) {
                       return now[static_cast<size_t>(index)];
                     });
                   }),
            Reference(
                members, hash,
                [&](const auto& member) { return now[static_cast<size_t>(member.index)]; }, wanted))
            << "kind " << static_cast<int>(kind) << ", size " << size << ", user " << user;
      }
    }
  }
}

// Users whose best lots are all poor: chance gives few, so hashes are made for the purpose.
TEST(RendezvousTest, FindsLotsThatTheGuessLeavesOut) {
  std::mt19937_64 random(3);
  const std::vector<Balancer::Member> members = Pool(100, Weights::kSimilar, &random);
  const Balancer balancer(Balance::kRendezvous, members);
  int poor = 0;
  for (int user = 0; user < 20000; ++user) {
    const uint64_t hash = Mix(static_cast<uint64_t>(user));
    // The first guess of one lot of a hundred is that it costs less than 5 / 100.
    uint64_t highest = 0;
    for (const auto& member : members) {
      highest = std::max(highest, Mix(hash ^ StableHash(member.name)));
    }
    if (Cost(highest) < (uint64_t{1} << 58) / 20) continue;
    ++poor;
    ASSERT_EQ(Picked(4, [&](auto best) { return balancer.Pick(hash, best); }),
              Reference(
                  members, hash, [](const auto& member) { return member.weight; }, 4));
    ASSERT_EQ(Picked(1, [&](auto best) { return balancer.Pick(hash, best); }),
              Reference(
                  members, hash, [](const auto& member) { return member.weight; }, 1));
  }
  EXPECT_GT(poor, 20);
}

// What the version before this search chose for a thousand backends.
TEST(GoldenTest, ChoicesAmongAThousandNeverChange) {
  std::vector<Balancer::Member> members;
  for (int i = 0; i < 1000; ++i) members.push_back({absl::StrCat("mail", i), i, 100});
  const auto digest = [&members](bool weighted) {
    for (auto& member : members) {
      member.weight = weighted ? static_cast<uint32_t>(member.index * 37 % 501) : 100;
    }
    const Balancer balancer(Balance::kRendezvous, members);
    std::string all;
    for (int user = 0; user < 10000; ++user) {
      std::array<int, 4> best{};
      const int count = balancer.Pick(UserHash(user), absl::MakeSpan(best));
      absl::StrAppend(&all, count, ":", best[0], ",", best[1], ",", best[2], ",", best[3], " ");
    }
    return StableHash(all);
  };
  EXPECT_EQ(digest(false), 0x1d6f774ed6560528ULL);
  EXPECT_EQ(digest(true), 0x7cfae639e721f303ULL);
}

}  // namespace
}  // namespace postern::routing
