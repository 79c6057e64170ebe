// Balancing that does not care who the user is: for pools where every backend sees the same
// maildrops.
//
// Round robin: backends take turns. One with less than the largest weight lets some of its turns
// pass, evenly spread over the rounds, so that the shares are those of the weights.
//
// Least sessions: the backend with the fewest sessions for its weight, counted exactly over all
// workers. Up to kScanMax backends all are compared, beyond it the best of kDraws drawn at random:
// the largest of n loads then exceeds the average by a few sessions only (Azar et al., Balanced
// Allocations, 1994), and no login reads a thousand counters that other threads write.
#ifndef POSTERN_ROUTING_SPREAD_H_
#define POSTERN_ROUTING_SPREAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "routing/options.h"

namespace postern::routing {

// Any number of threads.
class Spread {
 public:
  static constexpr size_t kScanMax = 32;
  static constexpr size_t kDraws = 8;

  // What a member is worth now; 0: not to be chosen.
  using Weight = absl::FunctionRef<uint32_t(int member)>;
  using Seats = absl::FunctionRef<int64_t(int member)>;

  // kLeastSessions or kRoundRobin. `members` are what Choose() answers, none negative.
  Spread(Balance kind, std::vector<int> members) : kind_(kind), members_(std::move(members)) {}

  // Fills `best` with the one whose turn it is and then with others that may be chosen; the number
  // filled. `weight_max` is the largest that `weight` may say. Never allocates.
  int Choose(uint32_t weight_max, Weight weight, Seats seats, absl::Span<int> best) const;

  // Whether Choose() sees every member, so that one it does not give may not be chosen.
  bool sees_all() const { return members_.size() <= kScanMax; }

 private:
  int NextTurn(uint32_t weight_max, Weight weight) const;
  int FewestSessions(Weight weight, Seats seats) const;
  int AnyByWeight(uint64_t random, Weight weight) const;

  const Balance kind_;
  const std::vector<int> members_;
  alignas(64) mutable std::atomic<uint64_t> turn_{0};
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_SPREAD_H_
