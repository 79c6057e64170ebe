// Coroutines for the conversation: client login, upstream login, a session's life.
//
// Task<T> is lazy, awaited exactly once and at once; only Detach() lets one run on its own. Frames
// come from the worker's frame pool and are never destroyed from outside: whoever wants a session
// to end makes its operations end, and the code unwinds by returning.
//
// g++ 12 miscompiles many ordinary coroutine forms. Keep to the safe subset (CONTRIBUTING.md,
// "Coroutines"): one await per statement, never in a condition, named arguments, no lambdas.
// tests/toolchain proves each allowed form.
#ifndef POSTERN_PROXY_CORO_TASK_H_
#define POSTERN_PROXY_CORO_TASK_H_

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/coro/frame_pool.h"

namespace postern::coro {

// What every frame of ours shares: pooled memory, no exceptions.
struct PromiseBase {
  static void* operator new(size_t size) { return FramePool::ThisThread().Allocate(size); }
  static void operator delete(void* frame, size_t size) {
    FramePool::ThisThread().Free(frame, size);
  }
  // None of our functions throws; a library that does has broken our state.
  [[noreturn]] void unhandled_exception() noexcept { std::abort(); }
};

template <typename T>
class [[nodiscard]] Task;

namespace internal {

// Resumes whoever awaited the task, without growing the stack.
struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
    return handle.promise().continuation;
  }
  void await_resume() const noexcept {}
};

template <typename T>
struct TaskPromise : PromiseBase {
  std::coroutine_handle<> continuation;
  std::optional<T> value;

  Task<T> get_return_object();
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void return_value(T result) { value.emplace(std::move(result)); }
  T Take() { return *std::move(value); }
};

template <>
struct TaskPromise<void> : PromiseBase {
  std::coroutine_handle<> continuation;

  Task<void> get_return_object();
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void return_void() {}
  void Take() {}
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  Task(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  class Awaiter {
   public:
    explicit Awaiter(Handle handle) : handle_(handle) {}
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
      handle_.promise().continuation = caller;
      return handle_;
    }
    T await_resume() { return handle_.promise().Take(); }

   private:
    Handle handle_;
  };

  Awaiter operator co_await() && {
    CHECK(handle_ != nullptr);
    return Awaiter(handle_);
  }

 private:
  Handle handle_;
};

namespace internal {

template <typename T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

// A coroutine that owns itself: it starts at once and frees its frame when it returns.
struct Detached {
  struct promise_type : PromiseBase {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
  };
};

inline Detached RunDetached(Task<void> task, void (*done)(void*), void* argument) {
  {
    Task<void> running = std::move(task);
    co_await std::move(running);
  }
  if (done != nullptr) done(argument);
}

}  // namespace internal

// Starts `task` now and lets it run on its own; `done(argument)` is called when it has returned and
// its frame is gone.
inline void Detach(Task<void> task, void (*done)(void*) = nullptr, void* argument = nullptr) {
  internal::RunDetached(std::move(task), done, argument);
}

}  // namespace postern::coro

#endif  // POSTERN_PROXY_CORO_TASK_H_
