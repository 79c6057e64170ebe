// Spares a service that is down the questions, and the askers the wait.
#ifndef POSTERN_ROUTING_LOOKUP_BREAKER_H_
#define POSTERN_ROUTING_LOOKUP_BREAKER_H_

#include "proxy/base/time.h"

namespace postern::routing {

// Opens after so many failures in a row. While open, one question in each interval goes through as
// a probe; the first success closes it. No clock, no lock: the owner has both.
class Breaker {
 public:
  enum class Gate { kPass, kProbe, kRefuse };

  Breaker(int failures_max, DurationNs probe_interval)
      : failures_max_(failures_max), probe_interval_(probe_interval) {}

  Gate Knock(TimeNs now) {
    if (!open_) return Gate::kPass;
    if (now < next_probe_) return Gate::kRefuse;
    next_probe_ = now + probe_interval_;
    return Gate::kProbe;
  }
  bool open() const { return open_; }

  // Each returns whether it opened, or closed, just now.
  bool OnFailure(TimeNs now) {
    if (open_ || ++failures_ < failures_max_) return false;
    open_ = true;
    next_probe_ = now + probe_interval_;
    return true;
  }
  bool OnSuccess() {
    failures_ = 0;
    const bool was_open = open_;
    open_ = false;
    return was_open;
  }

 private:
  int failures_max_;
  DurationNs probe_interval_;
  int failures_ = 0;  // in a row
  bool open_ = false;
  TimeNs next_probe_ = 0;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_BREAKER_H_
