// When one backend is asked next, and whether it is asked at all: shared by those who ask again and
// again. Belongs to the thread of its Io.
#ifndef POSTERN_PROXY_PROBE_CLOCK_H_
#define POSTERN_PROXY_PROBE_CLOCK_H_

#include <algorithm>

#include "proxy/base/time.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/io/io.h"

namespace postern {

class ProbeClock {
 public:
  explicit ProbeClock(io::Io* io) : io_(io), timer_(&ProbeClock::OnTimer, this) {}
  ~ProbeClock() { io_->timers().Disarm(&timer_); }
  ProbeClock(const ProbeClock&) = delete;
  ProbeClock& operator=(const ProbeClock&) = delete;

  // The next question comes so much later than now.
  void SetNext(DurationNs from_now) { due_ = io_->Now() + from_now; }
  // Suspends until it is time, or Stop().
  coro::Task<void> WaitUntilDue() {
    io_->timers().Arm(&timer_, due_);
    co_await wake_.Wait();
  }
  // Whether somebody waits for the next question; otherwise one is in progress.
  bool waiting() const { return timer_.armed(); }
  // The question that is waited for comes no later than this.
  void Hasten(DurationNs from_now) {
    due_ = std::min(due_, io_->Now() + from_now);
    io_->timers().Arm(&timer_, due_);
  }
  // No more questions: whoever waits goes on at once, and looks at stopped().
  void Stop() {
    stopped_ = true;
    if (waiting()) io_->timers().Arm(&timer_, io_->Now());
  }
  bool stopped() const { return stopped_; }

 private:
  static void OnTimer(io::Timer&, void* owner) { static_cast<ProbeClock*>(owner)->wake_.Fire(); }

  io::Io* const io_;
  io::Timer timer_;
  coro::Wake wake_;
  TimeNs due_ = 0;
  bool stopped_ = false;
};

}  // namespace postern

#endif  // POSTERN_PROXY_PROBE_CLOCK_H_
