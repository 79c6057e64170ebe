#include "routing/balancer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/numeric/bits.h"
#include "absl/numeric/int128.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

// -ln(1 - i / 1024) for i = 0..512, in units of 2^-58.
constexpr int kFractionBits = 58;
constexpr size_t kSegments = 512;

constexpr std::array<uint64_t, kSegments + 1> MakeLogTable() {
  std::array<uint64_t, kSegments + 1> table{};
  for (size_t i = 0; i < kSegments; ++i) {
    // ln(n / (n - 1)) = 2 atanh(1 / (2n - 1)), n = 1024 - i, by its power series.
    const uint64_t divisor = 2 * (1024 - i) - 1;
    uint64_t power = (uint64_t{1} << (kFractionBits + 1)) / divisor;
    uint64_t sum = 0;
    for (uint64_t k = 1; power != 0; k += 2) {
      sum += power / k;
      power /= divisor * divisor;
    }
    table[i + 1] = table[i] + sum;
  }
  return table;
}

constexpr std::array<uint64_t, kSegments + 1> kLogTable = MakeLogTable();

// -ln(hash / 2^64), never increasing in `hash`. Linear between the table's points; the ends of the
// table are 0 and ln 2, so it is continuous.
uint64_t MinusLog(uint64_t hash) {
  hash = std::max<uint64_t>(hash, 1);
  const int halvings = absl::countl_zero(hash);
  const uint64_t below_one = ~(hash << halvings) + 1;  // 1 - mantissa, in [2^0, 2^63] of 2^64
  const size_t segment = std::min<size_t>(below_one >> 54, kSegments - 1);
  const uint64_t rest = below_one - (static_cast<uint64_t>(segment) << 54);
  const uint64_t step = kLogTable[segment + 1] - kLogTable[segment];
  const absl::uint128 part = absl::uint128(step) * rest;
  return static_cast<uint64_t>(halvings) * kLogTable[kSegments] + kLogTable[segment] +
         static_cast<uint64_t>(part >> 54);
}

// A prime with about a hundred places for each backend keeps the shares within 1 %.
size_t MaglevPlaces(size_t members) { return members <= 655 ? 65537 : 655373; }
constexpr size_t kMaglevMembersMax = 65535;

// Two more independent values from a backend's seed.
constexpr uint64_t kOffsetSalt = 0x8f3b6d1c2a97e045ULL;
constexpr uint64_t kSkipSalt = 0x51c7e2f90b486ad3ULL;
// And one from a user and a backend: who is let through when not all are.
constexpr uint64_t kShareSalt = 0x2d99a4e7c3518f0bULL;
constexpr uint64_t kWeightScale = 1000;
constexpr uint16_t kNobody = 65535;

}  // namespace

Balancer::Balancer(Balance kind, std::vector<Member> members) {
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.name < b.name; });
  for (const Member& member : members) {
    all_seeds_.push_back(StableHash(member.name));
    all_indices_.push_back(member.index);
    if (member.weight == 0) continue;
    seeds_.push_back(all_seeds_.back());
    weights_.push_back(member.weight);
    indices_.push_back(member.index);
    equal_weights_ = equal_weights_ && member.weight == weights_.front();
  }
  // More would not fit the table's entries; rendezvous has no such limit.
  if (kind == Balance::kMaglev && size() > 0 && size() < kMaglevMembersMax) FillMaglevTable();
}

// Each backend has its own permutation of the places: offset, offset + skip, ... modulo a prime.
// They take turns, in proportion to their weights, at their next place that is still free.
void Balancer::FillMaglevTable() {
  const size_t places = MaglevPlaces(size());
  struct Turn {
    size_t next;
    size_t skip;
    uint64_t credit;
  };
  std::vector<Turn> turns;
  turns.reserve(size());
  for (const uint64_t seed : seeds_) {
    turns.push_back({static_cast<size_t>(MixBits(seed ^ kOffsetSalt) % places),
                     static_cast<size_t>(MixBits(seed ^ kSkipSalt) % (places - 1) + 1), 0});
  }
  const uint64_t whole = *std::max_element(weights_.begin(), weights_.end());
  maglev_.assign(places, kNobody);
  size_t left = places;
  while (true) {
    for (size_t member = 0; member < turns.size(); ++member) {
      Turn& turn = turns[member];
      turn.credit += weights_[member];
      if (turn.credit < whole) continue;
      turn.credit -= whole;
      while (maglev_[turn.next] != kNobody) turn.next = (turn.next + turn.skip) % places;
      maglev_[turn.next] = static_cast<uint16_t>(member);
      if (--left == 0) return;
    }
  }
}

bool Balancer::Better(const Lot& a, const Lot& b) {
  // cost / weight without a division.
  const absl::uint128 left = absl::uint128(a.cost) * b.weight;
  const absl::uint128 right = absl::uint128(b.cost) * a.weight;
  if (left != right) return left < right;
  if (a.hash != b.hash) return a.hash > b.hash;
  return a.member < b.member;
}

Balancer::Lot Balancer::Draw(uint64_t hash, size_t member) const {
  // With equal weights the order of the logarithms is the order of the hashes, so that giving one
  // backend another weight leaves the others' order as it was.
  return Lot{hash, equal_weights_ ? 0 : MinusLog(hash), weights_[member], member};
}

// Spares most members the logarithm and the comparison: with many members few come near the best.
bool Balancer::MayBeat(uint64_t hash, size_t member, const Lot& lot) const {
  if (equal_weights_) return hash >= lot.hash;
  return CostMayBeat(hash, weights_[member], lot);
}

bool Balancer::CostMayBeat(uint64_t hash, uint64_t weight, const Lot& lot) {
  // -ln(x) is at least 1 - x; the table's points are rounded down by less than the margin.
  constexpr uint64_t kMargin = 4096;
  const uint64_t least = ~hash >> (64 - kFractionBits);
  const uint64_t cost_min = least - std::min(least, kMargin);
  return absl::uint128(cost_min) * lot.weight <= absl::uint128(lot.cost) * weight;
}

struct Balancer::BestLots {
  explicit BestLots(size_t count) : wanted(count) {}

  bool full() const { return drawn == wanted; }
  const Lot& last() const { return lots[drawn - 1]; }
  void Offer(const Lot& lot) {
    size_t place = drawn;
    while (place > 0 && Better(lot, lots[place - 1])) --place;
    if (place == wanted) return;
    drawn = std::min(drawn + 1, wanted);
    for (size_t i = drawn - 1; i > place; --i) lots[i] = lots[i - 1];
    lots[place] = lot;
  }

  std::array<Lot, kPickMax> lots;
  size_t drawn = 0;
  const size_t wanted;
};

// The common case, without the bookkeeping: equal weights, one candidate.
size_t Balancer::BestByHash(uint64_t user_hash) const {
  size_t best = 0;
  uint64_t best_hash = MixBits(user_hash ^ seeds_[0]);
  for (size_t member = 1; member < seeds_.size(); ++member) {
    const uint64_t hash = MixBits(user_hash ^ seeds_[member]);
    if (hash > best_hash) {
      best_hash = hash;
      best = member;
    }
  }
  return best;
}

template <typename Usable>
int Balancer::PickIf(uint64_t user_hash, absl::Span<int> best, const Usable& usable) const {
  CHECK(best.size() <= kPickMax);
  if (best.empty() || seeds_.empty()) return 0;
  size_t filled = 0;
  size_t taken = size();  // a member that has been judged already
  if (!maglev_.empty()) {
    taken = maglev_[user_hash % maglev_.size()];
  } else if (best.size() == 1 && equal_weights_) {
    taken = BestByHash(user_hash);
  }
  if (taken < size() && usable(indices_[taken])) best[filled++] = indices_[taken];
  if (filled == best.size()) return static_cast<int>(filled);

  BestLots lots(best.size() - filled);
  for (size_t member = 0; member < size(); ++member) {
    const uint64_t hash = MixBits(user_hash ^ seeds_[member]);
    if (lots.full() && !MayBeat(hash, member, lots.last())) continue;
    if (member == taken || !usable(indices_[member])) continue;
    lots.Offer(Draw(hash, member));
  }
  for (size_t i = 0; i < lots.drawn; ++i) best[filled++] = indices_[lots.lots[i].member];
  return static_cast<int>(filled);
}

int Balancer::PickWeighted(uint64_t user_hash, absl::Span<int> best,
                           absl::FunctionRef<uint32_t(int index)> weight) const {
  CHECK(best.size() <= kPickMax);
  if (best.empty()) return 0;
  size_t filled = 0;
  int judged = -1;  // the table's choice
  bool passed_by = false;
  if (!maglev_.empty()) {
    const size_t member = maglev_[user_hash % maglev_.size()];
    judged = indices_[member];
    const uint64_t worth = weight(judged);
    // A point of [0, 1) for this user here, against the share of the weight that is left.
    const uint64_t point = MixBits(user_hash ^ seeds_[member] ^ kShareSalt) >> 32;
    if (worth > 0 && point * weights_[member] * kWeightScale < worth << 32) {
      best[filled++] = judged;
    } else {
      passed_by = worth > 0;
    }
  }
  BestLots lots(best.size() - filled);
  for (size_t member = 0; member < all_seeds_.size() && lots.wanted > 0; ++member) {
    if (all_indices_[member] == judged) continue;
    const uint64_t worth = weight(all_indices_[member]);
    if (worth == 0) continue;
    const uint64_t hash = MixBits(user_hash ^ all_seeds_[member]);
    if (lots.full() && !CostMayBeat(hash, worth, lots.last())) continue;
    lots.Offer(Lot{hash, MinusLog(hash), worth, member});
  }
  for (size_t i = 0; i < lots.drawn; ++i) best[filled++] = all_indices_[lots.lots[i].member];
  // Better than nobody.
  if (passed_by && filled < best.size()) best[filled++] = judged;
  return static_cast<int>(filled);
}

int Balancer::Pick(uint64_t user_hash, absl::Span<int> best) const {
  return PickIf(user_hash, best, [](int) { return true; });
}

int Balancer::PickUsable(uint64_t user_hash, absl::Span<int> best,
                         absl::FunctionRef<bool(int index)> usable) const {
  return PickIf(user_hash, best, usable);
}

}  // namespace postern::routing
