#include "proxy/admin/main_thread.h"

#include <unistd.h>

#include <utility>

namespace postern::admin {
namespace {

absl::Status Stopping() { return absl::UnavailableError("the server is stopping"); }

}  // namespace

absl::Status MainThread::Run(std::function<absl::Status()> work) {
  const auto order = std::make_shared<Order>();
  order->work = std::move(work);
  std::future<absl::Status> done = order->done.get_future();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return Stopping();
    if (waiting_ == kWaitingMax) {
      return absl::ResourceExhaustedError(
          "the server is busy with a reload or other changes; try again when they are over");
    }
    ++waiting_;
    orders_.push_back(order);
  }
  kill(getpid(), kSignal);
  absl::Status status = done.get();
  const std::lock_guard<std::mutex> lock(mutex_);
  --waiting_;
  return status;
}

std::deque<std::shared_ptr<MainThread::Order>> MainThread::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(orders_, {});
}

void MainThread::RunAsked() {
  for (const std::shared_ptr<Order>& order : Take()) order->done.set_value(order->work());
}

void MainThread::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  for (const std::shared_ptr<Order>& order : Take()) order->done.set_value(Stopping());
}

}  // namespace postern::admin
