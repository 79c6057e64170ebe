#include "routing/balancer.h"

#include <algorithm>
#include <utility>

#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

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

std::vector<Rendezvous::Member> ByName(std::vector<Balancer::Member> members) {
  std::sort(members.begin(), members.end(),
            [](const Balancer::Member& a, const Balancer::Member& b) { return a.name < b.name; });
  std::vector<Rendezvous::Member> by_name;
  by_name.reserve(members.size());
  for (const Balancer::Member& member : members) {
    by_name.push_back({StableHash(member.name), member.weight, member.index});
  }
  return by_name;
}

}  // namespace

Balancer::Balancer(Balance kind, std::vector<Member> members) : lots_(ByName(members)) {
  // More would not fit the table's entries; rendezvous has no such limit.
  if (kind != Balance::kMaglev || size() == 0 || size() >= kMaglevMembersMax) return;
  for (const Rendezvous::Member& member : ByName(std::move(members))) {
    if (member.weight > 0) turns_.push_back(member);
  }
  FillMaglevTable();
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
  uint64_t whole = 0;
  for (const Rendezvous::Member& member : turns_) {
    turns.push_back({static_cast<size_t>(MixBits(member.seed ^ kOffsetSalt) % places),
                     static_cast<size_t>(MixBits(member.seed ^ kSkipSalt) % (places - 1) + 1), 0});
    whole = std::max<uint64_t>(whole, member.weight);
  }
  maglev_.assign(places, kNobody);
  size_t left = places;
  while (true) {
    for (size_t member = 0; member < turns.size(); ++member) {
      Turn& turn = turns[member];
      turn.credit += turns_[member].weight;
      if (turn.credit < whole) continue;
      turn.credit -= whole;
      while (maglev_[turn.next] != kNobody) turn.next = (turn.next + turn.skip) % places;
      maglev_[turn.next] = static_cast<uint16_t>(member);
      if (--left == 0) return;
    }
  }
}

int Balancer::PickUsable(uint64_t user_hash, absl::Span<int> best,
                         absl::FunctionRef<bool(int index)> usable) const {
  CHECK(best.size() <= kPickMax);
  if (maglev_.empty() || best.empty()) return lots_.Best(user_hash, best, usable);
  const int judged = MaglevChoice(user_hash).index;
  size_t filled = 0;
  if (usable(judged)) best[filled++] = judged;
  return static_cast<int>(filled) + lots_.Best(user_hash, best.subspan(filled), [&](int index) {
    return index != judged && usable(index);
  });
}

int Balancer::Pick(uint64_t user_hash, absl::Span<int> best) const {
  return PickUsable(user_hash, best, [](int) { return true; });
}

int Balancer::PickWeighted(uint64_t user_hash, absl::Span<int> best, const WeightBounds& bounds,
                           absl::FunctionRef<uint32_t(int index)> weight) const {
  CHECK(best.size() <= kPickMax);
  if (maglev_.empty() || best.empty()) return lots_.BestBy(user_hash, best, bounds, weight);
  size_t filled = 0;
  const Rendezvous::Member& choice = MaglevChoice(user_hash);
  const uint64_t worth = weight(choice.index);
  // A point of [0, 1) for this user here, against the share of the weight that is left.
  const uint64_t point = MixBits(user_hash ^ choice.seed ^ kShareSalt) >> 32;
  const bool let_in = worth > 0 && point * choice.weight * kWeightScale < worth << 32;
  if (let_in) best[filled++] = choice.index;
  filled +=
      static_cast<size_t>(lots_.BestBy(user_hash, best.subspan(filled), bounds, [&](int index) {
        return index == choice.index ? 0 : weight(index);
      }));
  // Better than nobody.
  if (worth > 0 && !let_in && filled < best.size()) best[filled++] = choice.index;
  return static_cast<int>(filled);
}

}  // namespace postern::routing
