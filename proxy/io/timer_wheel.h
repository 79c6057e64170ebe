// Deadlines of one worker: arm and disarm in constant time, coarse ticks, no kernel timer per
// operation (a kernel timeout linked to each receive costs 9 to 14 percent).
//
// A hashed wheel: slot = tick modulo slots. A timer fires on the first turn at or after its
// deadline, at most one tick late. Activity that moves a deadline further only stores the new time;
// the owner re-arms when the old one fires. Worker thread only; sans-I/O: the caller brings the
// time.
#ifndef POSTERN_PROXY_IO_TIMER_WHEEL_H_
#define POSTERN_PROXY_IO_TIMER_WHEEL_H_

#include <array>
#include <cstddef>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/time.h"

namespace postern::io {

// Embedded in what waits. Its owner disarms it, or outlives the wheel's next turns.
class Timer : public ListNode<Timer> {
 public:
  using Callback = void (*)(Timer& timer, void* owner);
  Timer(Callback callback, void* owner) : callback_(callback), owner_(owner) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return linked(); }
  TimeNs deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  Callback callback_;
  void* owner_;
  TimeNs deadline_ = kNever;
};

class TimerWheel {
 public:
  static constexpr DurationNs kTick = 10 * kMillisecond;
  static constexpr size_t kSlots = 2048;  // one revolution is about 20 s

  TimerWheel() = default;
  // No timer may be armed any more.
  ~TimerWheel() = default;

  // Arms, or re-arms, `timer`. A deadline in the past fires on the next Advance() that reaches a
  // new tick; kNever disarms.
  void Arm(Timer* timer, TimeNs deadline);
  void Disarm(Timer* timer);

  // Fires the timers whose tick has passed; time never runs backwards. Within one revolution they
  // fire in order of ticks. Callbacks may arm and disarm any timer, and free their own.
  void Advance(TimeNs now);

  // A time before which nothing fires, kNever when no timer is armed. Exact to one tick within the
  // coming revolution; later deadlines are reported as the end of it.
  TimeNs NextDeadline() const;
  size_t armed() const { return armed_; }

 private:
  // Rounded up; no overflow near kNever.
  static int64_t TickAt(TimeNs time) { return time / kTick + (time % kTick > 0 ? 1 : 0); }
  std::array<IntrusiveList<Timer>, kSlots> slots_;
  // Which slots hold timers, so that an idle wheel is skipped in a few words.
  std::array<uint64_t, kSlots / 64> occupied_{};
  int64_t tick_ = 0;  // all ticks up to this one have been fired
  bool started_ = false;
  size_t armed_ = 0;
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_TIMER_WHEEL_H_
