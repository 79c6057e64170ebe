// The order in which backends would have a user, by their lots (see balancer.h), found without
// working out every lot.
//
// How few of them matter can be told before: of lots with rates that sum up to W, about W * s cost
// less than s for each unit of weight. So a limit is guessed which somewhat more lots than wanted
// should keep, one comparison of hashes sorts the others out (lot_filter.h), and only what is left
// has its logarithm taken and its weight and state looked at. Where too few are left, because many
// backends are out, a wider limit follows, then none. The guess decides how long it takes and never
// what comes out.
#ifndef POSTERN_ROUTING_RENDEZVOUS_H_
#define POSTERN_ROUTING_RENDEZVOUS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "routing/lot_filter.h"

namespace postern::routing {

// What is known of the weights of this moment without looking at each.
struct WeightBounds {
  uint32_t most = 0;  // none is larger
  uint64_t sum = 0;   // of all, about; a wrong one costs time only
};

// Immutable; any number of threads.
class Rendezvous {
 public:
  static constexpr size_t kBestMax = 4;

  struct Member {
    uint64_t seed = 0;  // StableHash() of its name
    uint32_t weight = 0;
    int index = 0;
  };

  // Sorted by name, which decides between equal lots.
  explicit Rendezvous(const std::vector<Member>& by_name);

  // Fills `best` with up to its length (at most kBestMax) indices of members that have a weight and
  // are `usable`, best first, and returns the number. Never allocates.
  int Best(uint64_t user_hash, absl::Span<int> best,
           absl::FunctionRef<bool(int index)> usable) const;
  // The same by other weights; 0: not to be picked.
  int BestBy(uint64_t user_hash, absl::Span<int> best, const WeightBounds& bounds,
             absl::FunctionRef<uint32_t(int index)> weight) const;

  // Members that have a weight.
  size_t size() const { return weighted_; }

 private:
  struct Lot;
  struct BestLots;
  class Search;
  // By position; 0: not to be picked.
  using Weight = absl::FunctionRef<uint32_t(size_t position)>;

  int Find(Search* search, double sum, absl::Span<int> best) const;

  // By weight, the heaviest first, then by name; padded for the filter.
  std::vector<uint64_t> seeds_;  // folded
  std::vector<uint32_t> weights_;
  std::vector<uint32_t> ranks_;  // by name
  std::vector<int> indices_;
  size_t weighted_ = 0;
  uint64_t weight_sum_ = 0;
  bool equal_weights_ = true;
  LotFilter filter_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_RENDEZVOUS_H_
