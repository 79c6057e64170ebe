#include "routing/spread.h"

#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

// 2^64 divided by the golden ratio: its multiples fall as evenly as any (Weyl).
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
// Turns that may pass before everybody is looked at.
constexpr int kTurnsMax = 64;

}  // namespace

int Spread::Choose(uint32_t weight_max, Weight weight, Seats seats, absl::Span<int> best) const {
  if (best.empty() || members_.empty()) return 0;
  const int first =
      kind_ == Balance::kRoundRobin ? NextTurn(weight_max, weight) : FewestSessions(weight, seats);
  if (first < 0) return 0;
  size_t filled = 0;
  best[filled++] = first;
  // Whoever stands near it, for the case that the first one cannot be reached.
  const size_t looked_at = sees_all() ? members_.size() : kScanMax;
  const size_t start = turn_.load(std::memory_order_relaxed) % members_.size();
  for (size_t i = 0; i < looked_at && filled < best.size(); ++i) {
    const int member = members_[(start + i) % members_.size()];
    if (member != first && weight(member) > 0) best[filled++] = member;
  }
  return static_cast<int>(filled);
}

int Spread::NextTurn(uint32_t weight_max, Weight weight) const {
  uint64_t turn = 0;
  for (int i = 0; i < kTurnsMax; ++i) {
    turn = turn_.fetch_add(1, std::memory_order_relaxed);
    const size_t place = turn % members_.size();
    const int member = members_[place];
    const uint32_t worth = weight(member);
    if (worth >= weight_max && worth > 0) return member;
    // In each round another point of [0, 1), each member at another one of them.
    const uint64_t point = (turn / members_.size()) * kGolden + MixBits(place);
    if ((point >> 32) * weight_max < (uint64_t{worth} << 32)) return member;
  }
  return AnyByWeight(MixBits(turn), weight);
}

// Nearly all of them are out.
int Spread::AnyByWeight(uint64_t random, Weight weight) const {
  uint64_t sum = 0;
  for (const int member : members_) sum += weight(member);
  if (sum == 0) return -1;
  uint64_t left = random % sum;
  for (const int member : members_) {
    const uint32_t worth = weight(member);
    if (left < worth) return member;
    left -= worth;
  }
  // Somebody's weight has changed meanwhile.
  for (const int member : members_) {
    if (weight(member) > 0) return member;
  }
  return -1;
}

int Spread::FewestSessions(Weight weight, Seats seats) const {
  const uint64_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
  int best = -1;
  int64_t best_seats = 0;
  int64_t best_worth = 0;
  const auto offer = [&](int member) {
    const int64_t worth = weight(member);
    if (worth == 0) return false;
    const int64_t taken = seats(member) + 1;  // with the one who asks
    if (best < 0 || taken * best_worth < best_seats * worth) {
      best = member;
      best_seats = taken;
      best_worth = worth;
    }
    return true;
  };
  const size_t count = members_.size();
  if (count > kScanMax) {
    size_t drawn = 0;
    for (uint64_t i = 0; i < kTurnsMax && drawn < kDraws; ++i) {
      drawn += offer(members_[MixBits(turn * kTurnsMax + i) % count]) ? 1 : 0;
    }
    if (best >= 0) return best;
  }
  // From another one each time, so that equals take turns.
  for (size_t i = 0; i < count; ++i) offer(members_[(turn + i) % count]);
  return best;
}

}  // namespace postern::routing
