// Which backends of one pool a login may try, best first: the pool's balancing, applied to what the
// backends can take right now.
//
// Without failover a user has one home, by hash; only weights move it. With failover, in order: the
// pool's own choice among the backends that are usable and have room; the next ones; the backups,
// when nobody else is usable; and when nobody is, those that may answer nevertheless.
#ifndef POSTERN_ROUTING_POOL_CHOICE_H_
#define POSTERN_ROUTING_POOL_CHOICE_H_

#include <atomic>
#include <cstdint>
#include <mutex>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "routing/backend_state.h"
#include "routing/balancer.h"
#include "routing/decision.h"
#include "routing/options.h"
#include "routing/spread.h"

namespace postern::routing {

// Any number of threads.
class PoolChoice {
 public:
  // `options` outlive it.
  PoolChoice(const RouterOptions* options, const PoolOptions* pool);

  // By the name alone, as if every backend were well and empty: the number of candidates. Pools
  // that do not balance by user have none of this kind; what they give is the order in which
  // backends would stand in for each other.
  int ByName(uint64_t user_hash, absl::Span<int> best) const;
  // Fills in `decision`, but for what the route said. Never allocates.
  void Choose(uint64_t user_hash, const BackendStateList& states, TimeNs now,
              Decision* decision) const;

  const Balancer& balancer() const { return primaries_; }
  const Balancer& backups() const { return backups_; }

 private:
  struct View;

  void ChooseHome(const View& view, uint64_t user_hash, Decision* decision) const;
  int ChooseOpen(const View& view, uint64_t user_hash, absl::Span<int> best) const;
  void PreferBelowBound(const View& view, uint64_t user_hash, absl::Span<int> best,
                        int* count) const;
  void ChooseOtherwise(const View& view, uint64_t user_hash, absl::Span<int> best,
                       Decision* decision) const;
  bool WeightsDiffer(const View& view) const;
  // The best of those that are `fit`, by the weights of this moment.
  int PickNow(const View& view, const Balancer& balancer, uint64_t user_hash, absl::Span<int> best,
              absl::FunctionRef<bool(int index)> fit) const;
  // As WeightsDiffer() has found them.
  WeightBounds weights_now() const {
    return {weight_max_now_.load(std::memory_order_relaxed),
            weight_sum_now_.load(std::memory_order_relaxed)};
  }
  bool AnyUsable(const View& view, bool backup) const;
  // The pool's sessions, and the weights of those who share them.
  void Sum(const View& view, int64_t* seats, int64_t* weights) const;

  const RouterOptions* const options_;
  const PoolOptions* const pool_;
  const Balancer primaries_;
  const Balancer backups_;
  const Spread spread_;
  uint32_t weight_max_ = 0;  // of the configuration, in thousandths

  // What was found when the weights were last looked at, see WeightsDiffer().
  mutable std::atomic<uint64_t> seen_change_;
  mutable std::atomic<TimeNs> differ_until_{0};
  mutable std::atomic<uint32_t> weight_max_now_{0};
  mutable std::atomic<uint64_t> weight_sum_now_{0};
  mutable std::atomic<uint32_t> backup_max_now_{0};
  // Of whoever looks after a change: the numbers above belong together.
  mutable std::mutex look_mutex_;
  // Sums of a large pool, see Sum().
  mutable std::atomic<TimeNs> summed_at_;
  mutable std::atomic<int64_t> seats_{0};
  mutable std::atomic<int64_t> weights_{0};
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_POOL_CHOICE_H_
