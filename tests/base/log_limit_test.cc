#include "proxy/base/log_limit.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace postern {
namespace {

TEST(LogLimit, OneInEachPeriodAndTheOthersAreCounted) {
  LogLimit limit(10 * kSecond);
  EXPECT_EQ(limit.Pass(0), std::optional<uint64_t>(0));
  EXPECT_EQ(limit.Pass(0), std::nullopt);
  EXPECT_EQ(limit.Pass(9 * kSecond), std::nullopt);
  EXPECT_EQ(limit.Pass(10 * kSecond), std::optional<uint64_t>(2));
  EXPECT_EQ(limit.Pass(19 * kSecond), std::nullopt);
  // From the last one that was said, and not from a raster.
  EXPECT_EQ(limit.Pass(25 * kSecond), std::optional<uint64_t>(1));
  EXPECT_EQ(limit.Pass(34 * kSecond), std::nullopt);
  EXPECT_EQ(limit.Pass(99 * kSecond), std::optional<uint64_t>(1));
  EXPECT_EQ(limit.Pass(999 * kSecond), std::optional<uint64_t>(0));
}

// Clocks may start anywhere.
TEST(LogLimit, TheFirstOneIsAlwaysSaid) {
  LogLimit limit(kSecond);
  EXPECT_EQ(limit.Pass(-5 * kSecond), std::optional<uint64_t>(0));
}

TEST(LogLimit, OneOfManyThreadsSaysIt) {
  constexpr int kThreads = 4, kCalls = 2000;
  LogLimit limit(kSecond);
  std::atomic<int> said{0};
  std::atomic<uint64_t> told{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&limit, &said, &told] {
      for (int call = 0; call < kCalls; ++call) {
        const std::optional<uint64_t> left_out = limit.Pass(0);
        if (!left_out.has_value()) continue;
        ++said;
        told += *left_out;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(said, 1);
  const std::optional<uint64_t> left_out = limit.Pass(kSecond);
  ASSERT_TRUE(left_out.has_value());
  EXPECT_EQ(told + *left_out, static_cast<uint64_t>(kThreads * kCalls - 1));  // none is lost
}

}  // namespace
}  // namespace postern
