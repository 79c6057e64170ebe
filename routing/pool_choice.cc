#include "routing/pool_choice.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace postern::routing {
namespace {

static_assert(kCandidatesMax <= static_cast<int>(Balancer::kPickMax));

constexpr uint64_t kNothingSeen = ~uint64_t{0};
// Up to so many backends are added up for each login, more of them this often.
constexpr size_t kSumMax = 64;
constexpr DurationNs kSumEvery = 10 * kMillisecond;
constexpr TimeNs kNeverSummed = -kSumEvery;

Balancer MakeBalancer(const RouterOptions& options, const PoolOptions& pool, bool backup) {
  std::vector<Balancer::Member> members;
  for (const int index : pool.backends) {
    const BackendOptions& backend = options.backends[static_cast<size_t>(index)];
    if (backend.backup == backup) members.push_back({backend.name, index, backend.weight});
  }
  return Balancer(IsByUser(pool.balance) ? pool.balance : Balance::kRendezvous, std::move(members));
}

std::vector<int> Primaries(const RouterOptions& options, const PoolOptions& pool) {
  std::vector<int> primaries;
  for (const int index : pool.backends) {
    if (!options.backends[static_cast<size_t>(index)].backup) primaries.push_back(index);
  }
  return primaries;
}

}  // namespace

// One login's look at the backends.
struct PoolChoice::View {
  const RouterOptions& options;
  const BackendStateList& states;
  const TimeNs now;

  const BackendOptions& backend(int index) const {
    return options.backends[static_cast<size_t>(index)];
  }
  const BackendState& state(int index) const { return *states[static_cast<size_t>(index)]; }
  bool usable(int index) const { return state(index).usable(now); }
  bool open(int index) const {
    return usable(index) && state(index).load().HasRoom(backend(index).limits);
  }
  uint32_t worth(int index) const { return state(index).weight().Now(backend(index).weight, now); }
};

PoolChoice::PoolChoice(const RouterOptions* options, const PoolOptions* pool)
    : options_(options),
      pool_(pool),
      primaries_(MakeBalancer(*options, *pool, /*backup=*/false)),
      backups_(MakeBalancer(*options, *pool, /*backup=*/true)),
      spread_(pool->balance, Primaries(*options, *pool)),
      seen_change_(kNothingSeen),
      summed_at_(kNeverSummed) {
  for (const int index : pool->backends) {
    const BackendOptions& backend = options->backends[static_cast<size_t>(index)];
    if (backend.backup) continue;
    weight_max_ = std::max(weight_max_, backend.weight * BackendWeight::kScale);
  }
}

int PoolChoice::ByName(uint64_t user_hash, absl::Span<int> best) const {
  if (!pool_->failover) best = best.first(1);
  int count = primaries_.Pick(user_hash, best);
  if (pool_->failover) {
    count += backups_.Pick(user_hash, best.subspan(static_cast<size_t>(count)));
  }
  return count;
}

// Whether any weight is not the configured one now. The members are looked at once for each change.
bool PoolChoice::WeightsDiffer(const View& view) const {
  const BackendWeight& any = view.state(pool_->backends.front()).weight();
  if (seen_change_.load(std::memory_order_acquire) != any.changes()) {
    const std::lock_guard<std::mutex> lock(look_mutex_);
    // Of before the look: what changes meanwhile is looked at again.
    const uint64_t change = any.changes();
    TimeNs until = 0;
    uint32_t most = 0;
    uint32_t most_of_backups = 0;
    uint64_t sum = 0;
    for (const int index : pool_->backends) {
      const BackendWeight& weight = view.state(index).weight();
      until = std::max(until, weight.DiffersUntil(view.backend(index).weight));
      const uint32_t settled = weight.Settled(view.backend(index).weight);
      if (view.backend(index).backup) {
        most_of_backups = std::max(most_of_backups, settled);
        continue;
      }
      most = std::max(most, settled);
      sum += settled;
    }
    differ_until_.store(until, std::memory_order_relaxed);
    weight_max_now_.store(most, std::memory_order_relaxed);
    weight_sum_now_.store(sum, std::memory_order_relaxed);
    backup_max_now_.store(most_of_backups, std::memory_order_relaxed);
    seen_change_.store(change, std::memory_order_release);
  }
  return view.now < differ_until_.load(std::memory_order_relaxed);
}

bool PoolChoice::AnyUsable(const View& view, bool backup) const {
  for (const int index : pool_->backends) {
    const BackendOptions& backend = view.backend(index);
    if (backend.backup == backup && view.worth(index) > 0 && view.usable(index)) return true;
  }
  return false;
}

void PoolChoice::Sum(const View& view, int64_t* seats, int64_t* weights) const {
  TimeNs summed_at = summed_at_.load(std::memory_order_acquire);
  const bool small = pool_->backends.size() <= kSumMax;
  if (!small && (view.now - summed_at < kSumEvery ||
                 !summed_at_.compare_exchange_strong(summed_at, view.now))) {
    *seats = seats_.load(std::memory_order_relaxed);
    *weights = weights_.load(std::memory_order_relaxed);
    return;
  }
  *seats = *weights = 0;
  for (const int index : pool_->backends) {
    if (view.backend(index).backup || !view.usable(index)) continue;
    *seats += view.state(index).load().seats();
    *weights += view.worth(index);
  }
  seats_.store(*seats, std::memory_order_relaxed);
  weights_.store(*weights, std::memory_order_relaxed);
}

// Consistent hashing with bounded loads (Mirrokni et al., SODA 2018): new users pass by a backend
// that has more than its share.
void PoolChoice::PreferBelowBound(const View& view, uint64_t user_hash, absl::Span<int> best,
                                  int* count) const {
  int64_t seats = 0;
  int64_t weights = 0;
  Sum(view, &seats, &weights);
  const auto below = [&](int index) {
    const int64_t taken = view.state(index).load().seats() + 1;
    // taken <= bound * (all + 1) * weight / weights, rounded up.
    const double share = static_cast<double>(pool_->load_bound_percent) / 100 *
                         static_cast<double>(seats + 1) * static_cast<double>(view.worth(index)) /
                         static_cast<double>(std::max<int64_t>(weights, 1));
    return static_cast<double>(taken - 1) < share;
  };
  for (int i = 0; i < *count; ++i) {
    if (!below(best[static_cast<size_t>(i)])) continue;
    std::rotate(best.begin(), best.begin() + i, best.begin() + i + 1);
    return;
  }
  int next = 0;
  const int found = primaries_.PickUsable(user_hash, absl::MakeSpan(&next, 1), [&](int index) {
    return view.open(index) && below(index);
  });
  if (found == 0) return;
  if (static_cast<size_t>(*count) < best.size()) ++*count;
  std::copy_backward(best.begin(), best.begin() + *count - 1, best.begin() + *count);
  best[0] = next;
}

// Among those that are usable and have room.
int PoolChoice::ChooseOpen(const View& view, uint64_t user_hash, absl::Span<int> best) const {
  const auto open = [&view](int index) { return view.open(index); };
  const auto weight = [&view](int index) { return view.open(index) ? view.worth(index) : 0; };
  const bool differ = WeightsDiffer(view);
  int count = 0;
  if (!IsByUser(pool_->balance)) {
    const auto seats = [&view](int index) { return view.state(index).load().seats(); };
    const uint32_t most = differ ? weights_now().most : weight_max_;
    return spread_.Choose(most, weight, seats, best);
  }
  if (differ) {
    count = primaries_.PickWeighted(user_hash, best, weights_now(), weight);
  } else {
    count = primaries_.Pick(user_hash, best);
    if (!std::all_of(best.begin(), best.begin() + count, open)) {
      count = primaries_.PickUsable(user_hash, best, open);
    }
  }
  if (pool_->load_bound_percent > 0 && count > 0) {
    PreferBelowBound(view, user_hash, best, &count);
  }
  return count;
}

int PoolChoice::PickNow(const View& view, const Balancer& balancer, uint64_t user_hash,
                        absl::Span<int> best, absl::FunctionRef<bool(int index)> fit) const {
  if (!WeightsDiffer(view)) return balancer.PickUsable(user_hash, best, fit);
  WeightBounds bounds = weights_now();
  if (&balancer == &backups_) {
    bounds.most = backup_max_now_.load(std::memory_order_relaxed);
    bounds.sum = uint64_t{bounds.most} * backups_.size();
  }
  return balancer.PickWeighted(user_hash, best, bounds,
                               [&](int index) { return fit(index) ? view.worth(index) : 0; });
}

// Nobody but backups and the unwell is left.
void PoolChoice::ChooseOtherwise(const View& view, uint64_t user_hash, absl::Span<int> best,
                                 Decision* decision) const {
  const auto open = [&view](int index) { return view.open(index); };
  const auto may_answer = [&view](int index) { return view.state(index).usable_in_panic(); };
  int home = -1;
  if (primaries_.Pick(user_hash, absl::MakeSpan(&home, 1)) == 0) home = pool_->backends.front();
  decision->full = AnyUsable(view, /*backup=*/false);
  if (!decision->full) {
    decision->candidate_count = PickNow(view, backups_, user_hash, best, open);
    if (decision->candidate_count > 0) return;
    decision->full = AnyUsable(view, /*backup=*/true);
  }
  if (!decision->full) {
    decision->panic = true;
    decision->candidate_count = PickNow(view, primaries_, user_hash, best, may_answer);
  }
  if (decision->candidate_count == 0) decision->out = home;
}

void PoolChoice::ChooseHome(const View& view, uint64_t user_hash, Decision* decision) const {
  int home = -1;
  const absl::Span<int> best = absl::MakeSpan(&home, 1);
  const int count = WeightsDiffer(view)
                        ? primaries_.PickWeighted(user_hash, best, weights_now(),
                                                  [&view](int index) {
                                                    return view.state(index).weight().Settled(
                                                        view.backend(index).weight);
                                                  })
                        : primaries_.Pick(user_hash, best);
  if (count == 0) {
    decision->out = pool_->backends.front();
    return;
  }
  // Whether the backend has room is not asked here, nor whether it is as quick as others that may
  // be its neighbours in another pool: the user can go nowhere else.
  bool may_serve = view.state(home).usable_alone(view.now);
  if (!may_serve && !AnyUsable(view, /*backup=*/false)) {
    decision->panic = true;
    may_serve = view.state(home).usable_in_panic();
  }
  if (!may_serve) {
    decision->out = home;
    return;
  }
  decision->candidates[0] = home;
  decision->candidate_count = 1;
}

void PoolChoice::Choose(uint64_t user_hash, const BackendStateList& states, TimeNs now,
                        Decision* decision) const {
  const View view{*options_, states, now};
  if (!pool_->failover) return ChooseHome(view, user_hash, decision);
  const absl::Span<int> best = absl::MakeSpan(decision->candidates);
  decision->candidate_count = ChooseOpen(view, user_hash, best);
  if (decision->candidate_count == 0) {
    return ChooseOtherwise(view, user_hash, best, decision);
  }
  const auto count = static_cast<size_t>(decision->candidate_count);
  // All who could serve are in the list: behind them the backups may stand in.
  if (count == best.size() || backups_.size() == 0) return;
  if (!IsByUser(pool_->balance) && !spread_.sees_all()) return;
  decision->candidate_count += PickNow(view, backups_, user_hash, best.subspan(count),
                                       [&view](int index) { return view.open(index); });
}

}  // namespace postern::routing
