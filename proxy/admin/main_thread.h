// Work for the main thread, which waits for signals: what an operator asks over HTTP and what, like
// a reload, must not run beside one.
#ifndef POSTERN_PROXY_ADMIN_MAIN_THREAD_H_
#define POSTERN_PROXY_ADMIN_MAIN_THREAD_H_

#include <signal.h>

#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>

#include "absl/status/status.h"

namespace postern::admin {

class MainThread {
 public:
  // Wakes the main thread; every thread blocks it. One that comes from elsewhere does nothing.
  static constexpr int kSignal = SIGUSR1;

  // The main thread may be reading a large map, and whoever waits for it occupies a thread of the
  // admin endpoint, which has others to serve.
  static constexpr int kWaitingMax = 2;

  // Any thread but the main one: has it done there, and waits. Unavailable after Close(),
  // ResourceExhausted while too many wait.
  absl::Status Run(std::function<absl::Status()> work);
  // Main thread: does what has been asked for.
  void RunAsked();
  // Main thread: whoever waits is refused, and whoever comes later.
  void Close();

 private:
  struct Order {
    std::function<absl::Status()> work;
    std::promise<absl::Status> done;
  };
  std::deque<std::shared_ptr<Order>> Take();

  std::mutex mutex_;
  // Shared, because the waiting thread may go before set_value() has returned.
  std::deque<std::shared_ptr<Order>> orders_;
  int waiting_ = 0;
  bool closed_ = false;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_MAIN_THREAD_H_
