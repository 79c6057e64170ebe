#include "routing/backend_load.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace postern::routing {
namespace {

TEST(BackendLoadTest, SeatsOfLoginsAndSessions) {
  BackendLoad load;
  const LoadLimits limits{3, 2};
  EXPECT_TRUE(load.TryEnter(limits));
  EXPECT_TRUE(load.TryEnter(limits));
  EXPECT_FALSE(load.TryEnter(limits)) << "two logins in progress";
  EXPECT_FALSE(load.HasRoom(limits));
  EXPECT_TRUE(load.HasRoom({0, 0}));
  load.OnJoined();
  EXPECT_TRUE(load.TryEnter(limits));
  load.OnJoined();
  EXPECT_EQ(load.seats(), 3);
  EXPECT_EQ(load.logins(), 1);
  EXPECT_FALSE(load.TryEnter({3, 0})) << "three seats";
  load.LeaveLogin();
  EXPECT_EQ(load.seats(), 2);
  EXPECT_EQ(load.logins(), 0);
  load.LeaveSession();
  load.LeaveSession();
  EXPECT_EQ(load.seats(), 0);
}

// However many threads, never one too many, and nothing is left over.
TEST(BackendLoadTest, IsNeverOverbooked) {
  BackendLoad load;
  const LoadLimits limits{5, 3};
  std::atomic<int> inside{0};
  std::atomic<int> logging_in{0};
  std::atomic<int> most{0};
  std::atomic<int> entered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20000; ++i) {
        if (!load.TryEnter(limits)) continue;
        ++entered;
        const int now = inside.fetch_add(1) + 1;
        EXPECT_LE(now, 5);
        EXPECT_LE(logging_in.fetch_add(1) + 1, 3);
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        logging_in.fetch_sub(1);
        if ((i + t) % 3 == 0) {
          inside.fetch_sub(1);
          load.LeaveLogin();
          continue;
        }
        load.OnJoined();
        inside.fetch_sub(1);
        load.LeaveSession();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(load.seats(), 0);
  EXPECT_EQ(load.logins(), 0);
  EXPECT_GT(entered.load(), 1000);
  EXPECT_GE(most.load(), 1);
}

}  // namespace
}  // namespace postern::routing
