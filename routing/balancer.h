// Which backend of a pool holds a user's mail: a pure function of the user's name, the backends'
// names and their weights. The order of the configuration, the process, the machine and its CPU do
// not matter, so every worker of every proxy agrees without talking.
//
// Rendezvous: every backend draws a lot for the user, u = MixBits(hash(user) ^ hash(backend)),
// taken as a number in (0, 1). The smallest -ln(u) / weight wins: that is an exponential variable
// with rate `weight`, so shares are exactly proportional to the weights, and taking a backend away
// changes nothing for anybody else. All of it is integer arithmetic, the logarithm is fixed-point
// with an error below 0.05 %: floating point may differ between compilers and CPUs (fused
// multiply-add), and one differing bit moves a user. rendezvous.h has how it is found fast.
//
// Maglev (Eisenbud et al., NSDI 2016): a table filled once, then one look at it per user, however
// many backends there are. Taking one of N away may also move a few per cent of the others' users.
// Candidates after the first come in rendezvous order.
//
// Whoever may choose names can choose where they live; nothing here is secret.
#ifndef POSTERN_ROUTING_BALANCER_H_
#define POSTERN_ROUTING_BALANCER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "routing/options.h"
#include "routing/rendezvous.h"

namespace postern::routing {

// Immutable; any number of threads.
class Balancer {
 public:
  struct Member {
    std::string name;     // unique
    int index = 0;        // what Pick() answers
    uint32_t weight = 1;  // 0: never picked
  };

  Balancer(Balance kind, std::vector<Member> members);

  // Fills `best` with up to its length (at most kPickMax) indices, best first, none twice.
  // `user_hash` is StableHash(user). The number filled; 0 only when nobody has a weight. Never
  // allocates.
  int Pick(uint64_t user_hash, absl::Span<int> best) const;
  // The same among the members that are usable now, in the same order: who goes without one of them
  // goes where the next candidate would have been.
  int PickUsable(uint64_t user_hash, absl::Span<int> best,
                 absl::FunctionRef<bool(int index)> usable) const;
  static constexpr size_t kPickMax = Rendezvous::kBestMax;
  // The same by the weights of this moment, in thousandths: `weight` says them, also for members
  // without a weight; 0: not to be picked. One member's weight moves users to or from that member
  // only. In Maglev's table a lower weight lets a share of the member's users through, always the
  // same ones, and a higher one changes nothing.
  int PickWeighted(uint64_t user_hash, absl::Span<int> best, const WeightBounds& bounds,
                   absl::FunctionRef<uint32_t(int index)> weight) const;

  // Members that may be picked.
  size_t size() const { return lots_.size(); }

 private:
  void FillMaglevTable();
  const Rendezvous::Member& MaglevChoice(uint64_t user_hash) const {
    return turns_[maglev_[user_hash % maglev_.size()]];
  }

  const Rendezvous lots_;
  // Both empty: rendezvous.
  std::vector<Rendezvous::Member> turns_;  // those that have a weight, by name
  std::vector<uint16_t> maglev_;           // positions in it
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_BALANCER_H_
