#include "tests/sim/scheduler.h"

#include <algorithm>
#include <utility>

#include "proxy/base/check.h"

namespace postern::sim {

void Scheduler::At(TimeNs time, std::function<void()> action) {
  events_.push(Event{std::max(time, now_), order_++, std::move(action)});
}

DurationNs Scheduler::Delay() {
  if (random_.Chance(plan_.long_delay)) return random_.Between(0, plan_.long_delay_max);
  return random_.Between(0, plan_.delay_max);
}

void Scheduler::AdvanceTo(TimeNs time) {
  CHECK(time >= now_ && time != kNever);
  now_ = time;
}

void Scheduler::RunDue() {
  while (!events_.empty() && events_.top().time <= now_) {
    // The queue only lends const elements; the action is taken out just before the element goes.
    std::function<void()> action = std::move(const_cast<Event&>(events_.top()).action);
    events_.pop();
    action();
  }
}

}  // namespace postern::sim
