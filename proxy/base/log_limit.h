// Keeps a warning that every login may cause from filling the log: one in each period is said, and
// how many were not.
//
//   if (const std::optional<uint64_t> left_out = limit.Pass(now)) log::Warning(...);
#ifndef POSTERN_PROXY_BASE_LOG_LIMIT_H_
#define POSTERN_PROXY_BASE_LOG_LIMIT_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "proxy/base/time.h"

namespace postern {

// Any thread; takes no lock.
class LogLimit {
 public:
  explicit LogLimit(DurationNs period) : period_(period) {}

  // Whether to say it now: how many times the answer was no since the last yes; or no.
  std::optional<uint64_t> Pass(TimeNs now) {
    TimeNs next = next_.load(std::memory_order_relaxed);
    // Who loses the exchange was not first in this period.
    if (now < next ||
        !next_.compare_exchange_strong(next, now + period_, std::memory_order_relaxed)) {
      left_out_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    return left_out_.exchange(0, std::memory_order_relaxed);
  }

 private:
  const DurationNs period_;
  std::atomic<TimeNs> next_{std::numeric_limits<TimeNs>::min()};
  std::atomic<uint64_t> left_out_{0};
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_LOG_LIMIT_H_
