#include "proxy/guard/fade_table.h"

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace postern::guard {
namespace {

constexpr DurationNs kMinute = 60 * kSecond;

TEST(FadeTable, ChargesUpToTheLimitAndAgainAsTimePasses) {
  FadeTable table(64);
  TimeNs now = 5 * kSecond;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(table.Charge(9, kSecond, 3, now)) << i;
  EXPECT_FALSE(table.Charge(9, kSecond, 3, now));
  EXPECT_TRUE(table.Charge(10, kSecond, 3, now)) << "another key";
  now += kSecond - 1;
  EXPECT_FALSE(table.Charge(9, kSecond, 3, now));
  now += 1;
  EXPECT_TRUE(table.Charge(9, kSecond, 3, now));
  EXPECT_FALSE(table.Charge(9, kSecond, 3, now)) << "what was refused costs nothing";
  now += 100 * kSecond;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(table.Charge(9, kSecond, 3, now)) << i;
  EXPECT_FALSE(table.Charge(9, kSecond, 3, now)) << "waiting long saves nothing up";
}

TEST(FadeTable, LevelsRiseByEventsAndFallByTime) {
  FadeTable table(64);
  TimeNs now = 1;
  EXPECT_EQ(table.Level(9, kMinute, now), 0);
  for (int i = 0; i < 10; ++i) table.Add(9, kMinute, 4, now);
  EXPECT_EQ(table.Level(9, kMinute, now), 4) << "never more than the most";
  now += kMinute - 1;
  EXPECT_EQ(table.Level(9, kMinute, now), 4);
  now += 1;
  EXPECT_EQ(table.Level(9, kMinute, now), 3);
  now += 3 * kMinute;
  EXPECT_EQ(table.Level(9, kMinute, now), 0);
}

TEST(FadeTable, KeepsAndForgets) {
  FadeTable table(64);
  EXPECT_TRUE(table.KeepUnlessKept(9, 100, 10));
  EXPECT_FALSE(table.KeepUnlessKept(9, 200, 99));
  EXPECT_TRUE(table.kept(9, 99));
  EXPECT_FALSE(table.kept(9, 100));
  EXPECT_TRUE(table.KeepUnlessKept(9, 200, 100));
  table.KeepUntil(9, 300, 150);
  EXPECT_EQ(table.Until(9), 300);
  table.Forget(9);
  EXPECT_FALSE(table.kept(9, 1));
  EXPECT_EQ(table.Until(12345), 0);
}

// Eight places, all keys in one bucket.
TEST(FadeTable, WhatFadesFirstMakesRoom) {
  FadeTable table(8);
  ASSERT_EQ(table.capacity(), 8u);
  for (uint64_t key = 1; key <= 8; ++key) {
    table.KeepUntil(key, 1000 + static_cast<TimeNs>(key), 0);
  }
  EXPECT_EQ(table.size(), 8u);
  EXPECT_EQ(table.evictions(), 0u);
  table.KeepUntil(9, 5000, 0);
  EXPECT_FALSE(table.kept(1, 0));
  for (uint64_t key = 2; key <= 9; ++key) EXPECT_TRUE(table.kept(key, 0)) << key;
  EXPECT_EQ(table.evictions(), 1u);
  // At 1003 two of them have faded: their places are free.
  table.KeepUntil(10, 5000, 1003);
  table.KeepUntil(11, 5000, 1003);
  EXPECT_EQ(table.evictions(), 1u);
  EXPECT_TRUE(table.kept(4, 1003));
  EXPECT_EQ(table.size(), 8u);
}

// What was refused must not push others out.
TEST(FadeTable, ARefusedChargeTakesNoPlace) {
  FadeTable table(8);
  for (uint64_t key = 1; key <= 8; ++key) table.KeepUntil(key, 1000, 0);
  EXPECT_FALSE(table.Charge(99, 10, 0, 0));
  EXPECT_EQ(table.evictions(), 0u);
}

TEST(FadeTable, AnyNumberOfEntriesIsRoundedUp) {
  EXPECT_EQ(FadeTable(1).capacity(), 8u);
  EXPECT_EQ(FadeTable(9).capacity(), 16u);
  EXPECT_EQ(FadeTable(100'000).capacity(), 131'072u);
  EXPECT_EQ(FadeTable(100'000).bytes(), 131'072u * 16);
}

// A flood of strangers through a small table does not free whoever is busiest.
TEST(FadeTable, TheBusiestStaysInAFlood) {
  FadeTable table(1024);
  constexpr uint64_t kAttacker = 77;
  for (int i = 0; i < 50; ++i) table.Add(kAttacker, kMinute, 100, 1);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) table.Add(random() | 1, kMinute, 100, 1);
  EXPECT_EQ(table.Level(kAttacker, kMinute, 1), 50);
  EXPECT_GT(table.evictions(), 90'000u);
}

TEST(FadeTable, IsExactWhenThreadsHammerIt) {
  constexpr int kThreads = 8;
  constexpr int kLimit = 1000;
  FadeTable table(4096);
  std::atomic<int> charged{0};
  std::atomic<int> first{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      for (int i = 0; i < 5000; ++i) {
        if (table.Charge(5, kSecond, kLimit, 1)) charged.fetch_add(1);
        if (table.KeepUnlessKept(6, 100, 1)) first.fetch_add(1);
        const uint64_t other = random() % 4000 + 7;
        table.Add(other, kSecond, 3, 1);
        if (table.Level(other, kSecond, 1) > 3) ADD_FAILURE();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(charged, kLimit);
  EXPECT_EQ(first, 1);
}

}  // namespace
}  // namespace postern::guard
