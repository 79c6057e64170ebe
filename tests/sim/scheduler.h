// Virtual time: a clock that jumps from event to event, and the events.
//
// Everything that happens in a simulated world happens in an action run by RunDue(), in order of
// time and, at the same time, in the order it was asked for. Nothing ever sleeps.
#ifndef POSTERN_TESTS_SIM_SCHEDULER_H_
#define POSTERN_TESTS_SIM_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "proxy/base/time.h"
#include "tests/sim/fault_plan.h"
#include "tests/sim/random.h"

namespace postern::sim {

class Scheduler {
 public:
  Scheduler(uint64_t seed, const FaultPlan& plan) : random_(seed), plan_(plan) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  TimeNs now() const { return now_; }
  Random& random() { return random_; }
  const FaultPlan& plan() const { return plan_; }
  FaultPlan& plan() { return plan_; }

  void At(TimeNs time, std::function<void()> action);
  void After(DurationNs delay, std::function<void()> action) {
    At(now_ + delay, std::move(action));
  }
  // A delay as this world's network and kernel have them.
  DurationNs Delay();

  // When the next action is due, kNever when there is none.
  TimeNs NextTime() const { return events_.empty() ? kNever : events_.top().time; }
  void AdvanceTo(TimeNs time);
  // Runs every action that is due now, those they add included.
  void RunDue();
  size_t pending() const { return events_.size(); }

  // Folds something observable into the trace: two runs of one seed must agree on all of it.
  void Trace(uint64_t word) { trace_ = (trace_ ^ word) * 0x100000001B3u; }
  uint64_t trace_hash() const { return trace_; }

 private:
  struct Event {
    TimeNs time;
    uint64_t order;
    std::function<void()> action;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };

  Random random_;
  FaultPlan plan_;
  TimeNs now_ = 1000 * kSecond;
  uint64_t order_ = 0;
  uint64_t trace_ = 0xCBF29CE484222325u;
  std::priority_queue<Event, std::vector<Event>, Later> events_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_SCHEDULER_H_
