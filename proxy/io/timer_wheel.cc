#include "proxy/io/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace postern::io {

void TimerWheel::Arm(Timer* timer, TimeNs deadline) {
  Disarm(timer);
  if (deadline == kNever) return;
  // A tick that has already been fired would wait a whole revolution.
  const int64_t tick = std::max(TickAt(deadline), tick_ + 1);
  const size_t slot = static_cast<size_t>(tick) % kSlots;
  timer->deadline_ = deadline;
  slots_[slot].PushBack(timer);
  occupied_[slot / 64] |= uint64_t{1} << (slot % 64);
  ++armed_;
}

void TimerWheel::Disarm(Timer* timer) {
  if (!timer->armed()) return;
  timer->Unlink();
  --armed_;
  // The slot's bit may stay set on an empty slot; Advance() clears it when it passes.
}

void TimerWheel::Advance(TimeNs now) {
  const int64_t now_tick = now / kTick;
  if (!started_) {
    started_ = true;
    if (armed_ == 0) tick_ = now_tick;
  }
  if (now_tick <= tick_) return;
  // After a long sleep one revolution visits every slot; more would repeat.
  int64_t tick = std::max(tick_ + 1, now_tick - static_cast<int64_t>(kSlots) + 1);
  tick_ = now_tick;
  for (; tick <= now_tick; ++tick) {
    const size_t slot = static_cast<size_t>(tick) % kSlots;
    if ((occupied_[slot / 64] >> (slot % 64) & 1) == 0) continue;
    // Timers of a later revolution, and those armed by callbacks, stay: take the due ones out
    // first so that the walk never meets what a callback changes.
    IntrusiveList<Timer> due;
    for (Timer* timer = slots_[slot].front(); timer != nullptr;) {
      Timer* next = slots_[slot].Next(timer);
      if (timer->deadline_ <= now) {
        timer->Unlink();
        due.PushBack(timer);
      }
      timer = next;
    }
    while (Timer* timer = due.PopFront()) {
      --armed_;
      timer->callback_(*timer, timer->owner_);
    }
    if (slots_[slot].empty()) occupied_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
  }
}

TimeNs TimerWheel::NextDeadline() const {
  if (armed_ == 0) return kNever;
  for (int64_t tick = tick_ + 1; tick <= tick_ + static_cast<int64_t>(kSlots);) {
    const size_t slot = static_cast<size_t>(tick) % kSlots;
    const uint64_t word = occupied_[slot / 64] >> (slot % 64);
    if (word != 0) return (tick + std::countr_zero(word)) * kTick;
    tick += static_cast<int64_t>(64 - slot % 64);
  }
  return (tick_ + static_cast<int64_t>(kSlots)) * kTick;
}

}  // namespace postern::io
