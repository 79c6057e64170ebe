// Tasks from other threads for a thread that runs a loop.
#ifndef POSTERN_PROXY_MAILBOX_H_
#define POSTERN_PROXY_MAILBOX_H_

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "proxy/io/io.h"

namespace postern {

class Mailbox {
 public:
  explicit Mailbox(io::Io* io) : io_(io) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // `task` runs on the loop's thread soon. Any thread.
  void Post(std::function<void()> task) {
    bool first = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      first = tasks_.empty();
      tasks_.push_back(std::move(task));
    }
    // Whoever posted the first one wakes the loop, which then takes them all.
    if (first) io_->Wake();
  }
  // Runs what was posted, in order. The loop's thread.
  void Run() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      tasks.swap(tasks_);
    }
    for (const std::function<void()>& task : tasks) task();
  }

 private:
  io::Io* io_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_MAILBOX_H_
