#include "proxy/admin/main_thread.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace postern::admin {
namespace {

sigset_t OurSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, MainThread::kSignal);
  return set;
}

TEST(MainThreadTest, WorkIsDoneHereAndItsVerdictGoesBack) {
  const sigset_t signals = OurSignal();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  MainThread main_thread;
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<int> answered{0};
  std::vector<std::thread> askers;
  for (int i = 0; i < MainThread::kWaitingMax; ++i) {
    askers.emplace_back([&, i] {
      const absl::Status status = main_thread.Run([&, i] {
        EXPECT_EQ(std::this_thread::get_id(), here);
        return i == 0 ? absl::NotFoundError("nothing") : absl::OkStatus();
      });
      EXPECT_EQ(status.code(), i == 0 ? absl::StatusCode::kNotFound : absl::StatusCode::kOk);
      ++answered;
    });
  }
  while (answered.load() < MainThread::kWaitingMax) {
    // Signals that come together are one, so the last one may have been ours already.
    const timespec patience{0, 10'000'000};
    sigtimedwait(&signals, nullptr, &patience);
    main_thread.RunAsked();
  }
  for (std::thread& asker : askers) asker.join();
}

TEST(MainThreadTest, WhoComesBehindTooManyIsRefusedAtOnce) {
  const sigset_t signals = OurSignal();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  MainThread main_thread;
  std::atomic<int> done{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> askers;
  for (int i = 0; i <= MainThread::kWaitingMax; ++i) {
    askers.emplace_back([&] {
      const absl::Status status = main_thread.Run([] { return absl::OkStatus(); });
      ++(status.ok() ? done : refused);
      EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
    });
  }
  // One of them does not wait for the main thread, which is doing something else.
  while (refused.load() == 0) std::this_thread::yield();
  while (done.load() < MainThread::kWaitingMax) main_thread.RunAsked();
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(refused.load(), 1);
  const timespec none{0, 0};
  sigtimedwait(&signals, nullptr, &none);
}

TEST(MainThreadTest, NobodyWaitsForOneThatStops) {
  const sigset_t signals = OurSignal();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  MainThread main_thread;
  absl::Status told;
  std::thread asker([&] {
    told = main_thread.Run([] {
      ADD_FAILURE() << "it was not to run";
      return absl::OkStatus();
    });
  });
  int number = 0;
  sigwait(&signals, &number);
  main_thread.Close();
  asker.join();
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(main_thread.Run([] { return absl::OkStatus(); }).code(),
            absl::StatusCode::kUnavailable);
  const timespec none{0, 0};
  sigtimedwait(&signals, nullptr, &none);
}

}  // namespace
}  // namespace postern::admin
