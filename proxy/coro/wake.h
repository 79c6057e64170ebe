// The meeting point of one coroutine and the callback that resumes it.
#ifndef POSTERN_PROXY_CORO_WAKE_H_
#define POSTERN_PROXY_CORO_WAKE_H_

#include <coroutine>
#include <utility>

#include "proxy/base/check.h"

namespace postern::coro {

// `co_await wake.Wait()` suspends until Fire(). One waiter at a time; Fire() without one does
// nothing, so a waiter checks its condition before it waits. Fire() resumes inside the call:
// callbacks fire as their last act.
class Wake {
 public:
  Wake() = default;
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;
  ~Wake() { CHECK(!waiter_); }

  class Awaiter {
   public:
    explicit Awaiter(Wake* wake) : wake_(wake) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
      CHECK(!wake_->waiter_);
      wake_->waiter_ = waiter;
    }
    void await_resume() const noexcept {}

   private:
    Wake* wake_;
  };

  Awaiter Wait() { return Awaiter(this); }
  bool waiting() const { return waiter_ != nullptr; }
  void Fire() {
    if (waiter_) std::exchange(waiter_, nullptr).resume();
  }

 private:
  std::coroutine_handle<> waiter_;
};

}  // namespace postern::coro

#endif  // POSTERN_PROXY_CORO_WAKE_H_
