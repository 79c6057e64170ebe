// What a backend is worth at this moment: its weight in the configuration, unless an operator has
// set another one, and less while it has just come back or its agent wants less.
//
// Read by every login without a lock. Each change moves a counter on that all backends share, so
// that a pool looks at its members' weights again only after a change.
#ifndef POSTERN_ROUTING_BACKEND_WEIGHT_H_
#define POSTERN_ROUTING_BACKEND_WEIGHT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "proxy/base/time.h"

namespace postern::routing {

using ChangeCounter = std::atomic<uint64_t>;

// Thread-safe.
class BackendWeight {
 public:
  // Weights of the moment are in thousandths, so that a small one can be ramped up, too.
  static constexpr uint32_t kScale = 1000;
  static constexpr int kAsConfigured = -1;
  // Just back, a backend begins with this share of its weight.
  static constexpr int64_t kFirstPercent = 5;

  explicit BackendWeight(std::shared_ptr<ChangeCounter> changes) : changes_(std::move(changes)) {}

  // By an operator; kAsConfigured: not any more.
  void Set(int weight) {
    live_.store(weight, std::memory_order_relaxed);
    changes_->fetch_add(1, std::memory_order_release);
  }
  // By the backend's agent: of whatever its weight is.
  void SetAgentPercent(int percent) {
    if (agent_percent_.exchange(percent, std::memory_order_relaxed) == percent) return;
    changes_->fetch_add(1, std::memory_order_release);
  }
  int set() const { return live_.load(std::memory_order_relaxed); }

  // How long it takes from kFirstPercent to all of it; 0: no ramp.
  void SetSlowStart(DurationNs time) {
    if (slow_start_.exchange(time, std::memory_order_relaxed) == time) return;
    changes_->fetch_add(1, std::memory_order_release);
  }
  // It comes back at `from`, which may lie ahead.
  void ComesBack(TimeNs from) {
    if (slow_start_.load(std::memory_order_relaxed) == 0) return;
    back_at_.store(from, std::memory_order_relaxed);
    changes_->fetch_add(1, std::memory_order_release);
  }

  // In thousandths. Settled: without the ramp and the agent's share.
  uint32_t Settled(uint32_t configured) const {
    const int live = set();
    return (live >= 0 ? static_cast<uint32_t>(live) : configured) * kScale;
  }
  uint32_t Now(uint32_t configured, TimeNs now) const {
    const uint32_t settled = Settled(configured);
    const int64_t ramp = RampPercent(now);
    const int64_t agent = agent_percent_.load(std::memory_order_relaxed);
    if (ramp == 100 && agent == 100) return settled;
    if (settled == 0) return 0;
    return static_cast<uint32_t>(
        std::max<int64_t>(1, static_cast<int64_t>(settled) * ramp * agent / 10000));
  }
  int64_t RampPercent(TimeNs now) const {
    const DurationNs slow_start = slow_start_.load(std::memory_order_relaxed);
    const TimeNs back_at = back_at_.load(std::memory_order_relaxed);
    if (slow_start == 0 || back_at == 0 || now >= back_at + slow_start) return 100;
    const DurationNs since = std::max<DurationNs>(now - back_at, 0);
    return std::max(kFirstPercent, static_cast<int64_t>(static_cast<double>(since) * 100 /
                                                        static_cast<double>(slow_start)));
  }

  // Until when Now() may differ from what is configured: 0, or kNever.
  TimeNs DiffersUntil(uint32_t configured) const {
    if (Settled(configured) != configured * kScale) return kNever;
    if (agent_percent_.load(std::memory_order_relaxed) != 100) return kNever;
    const TimeNs back_at = back_at_.load(std::memory_order_relaxed);
    return back_at == 0 ? 0 : back_at + slow_start_.load(std::memory_order_relaxed);
  }
  // Of all backends.
  uint64_t changes() const { return changes_->load(std::memory_order_acquire); }

 private:
  const std::shared_ptr<ChangeCounter> changes_;
  std::atomic<int> live_{kAsConfigured};
  std::atomic<int> agent_percent_{100};
  std::atomic<DurationNs> slow_start_{0};
  std::atomic<TimeNs> back_at_{0};  // 0: has not been away
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_BACKEND_WEIGHT_H_
