#include "proxy/guard/count_table.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace postern::guard {
namespace {

using Added = CountTable::Added;

constexpr uint32_t kAny = 1'000'000;

TEST(CountTable, CountsUpToTheLimit) {
  CountTable table(100);
  EXPECT_EQ(table.Add(7, 2), Added::kYes);
  EXPECT_EQ(table.Add(7, 2), Added::kYes);
  EXPECT_EQ(table.Add(7, 2), Added::kLimit);
  EXPECT_EQ(table.Add(8, 2), Added::kYes);
  EXPECT_EQ(table.Count(7), 2u);
  EXPECT_EQ(table.size(), 2u);
  table.Remove(7);
  EXPECT_EQ(table.Add(7, 2), Added::kYes);
  table.Remove(7);
  table.Remove(7);
  EXPECT_EQ(table.Count(7), 0u);
  EXPECT_EQ(table.size(), 1u);
}

TEST(CountTable, SaysHowManyThereAre) {
  CountTable table(100);
  uint32_t count = 0;
  EXPECT_EQ(table.Add(7, 2, &count), Added::kYes);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(table.Add(7, 2, &count), Added::kYes);
  EXPECT_EQ(count, 2u);
}

TEST(CountTable, ALimitOfNothingLetsNobodyInAndLeavesNothingBehind) {
  CountTable table(100);
  EXPECT_EQ(table.Add(7, 0), Added::kLimit);
  EXPECT_EQ(table.size(), 0u);
}

TEST(CountTable, HasRoomForWhatItWasMadeFor) {
  constexpr size_t kKeys = 50'000;
  CountTable table(kKeys);
  EXPECT_GE(table.capacity(), kKeys);
  std::mt19937_64 random(1);
  for (size_t i = 0; i < kKeys; ++i) ASSERT_EQ(table.Add(random(), kAny), Added::kYes) << i;
}

// All keys in one shard, all with the same home: the worst neighbours.
TEST(CountTable, AFullShardSaysSoAndRecovers) {
  CountTable table(1);
  const auto key = [](uint64_t i) { return (i << 40) + 1; };
  uint64_t added = 0;
  while (table.Add(key(added + 1), kAny) == Added::kYes) ++added;
  EXPECT_EQ(added, table.capacity() / 64);
  EXPECT_EQ(table.Add(key(added + 1), kAny), Added::kFull);
  EXPECT_EQ(table.Add(key(1), kAny), Added::kYes) << "who is there already needs no room";
  table.Remove(key(1));
  table.Remove(key(1));
  EXPECT_EQ(table.Add(key(added + 1), kAny), Added::kYes);
  for (uint64_t i = 2; i <= added + 1; ++i) ASSERT_EQ(table.Count(key(i)), 1u) << i;
}

// Against a map, with few homes so that runs of neighbours form, wrap around and close again.
TEST(CountTable, AgreesWithAMapWhateverComesAndGoes) {
  CountTable table(1);
  std::map<uint64_t, uint32_t> model;
  std::mt19937_64 random(2);
  for (int step = 0; step < 200'000; ++step) {
    // Homes 250 ... 257 of 256 in shard 3.
    const uint64_t home = 250 + random() % 8;
    const uint64_t key = ((random() % 12) << 32) + home * 64 + 3;
    uint32_t& count = model[key];
    if (random() % 2 == 0) {
      const Added added = table.Add(key, 3);
      ASSERT_EQ(added, count == 3 ? Added::kLimit : Added::kYes);
      if (added == Added::kYes) ++count;
    } else if (count > 0) {
      table.Remove(key);
      --count;
    }
    ASSERT_EQ(table.Count(key), count);
  }
  size_t there = 0;
  for (const auto& [key, count] : model) {
    ASSERT_EQ(table.Count(key), count);
    there += count > 0 ? 1u : 0u;
  }
  EXPECT_EQ(table.size(), there);
}

TEST(CountTable, RemovingWhatIsNotThereIsOurOwnFault) {
  CountTable table(1);
  EXPECT_DEATH(table.Remove(5), "CHECK failed");
}

TEST(CountTable, IsExactWhenThreadsHammerIt) {
  constexpr int kThreads = 8;
  constexpr uint32_t kLimit = 5;
  CountTable table(1000);
  std::array<std::atomic<int>, 4> inside{};
  std::atomic<bool> too_many{false};
  std::atomic<uint64_t> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      for (int i = 0; i < 20'000; ++i) {
        const size_t which = random() % inside.size();
        if (table.Add(which * 64 + 1, kLimit) != Added::kYes) {
          refused.fetch_add(1);
          continue;
        }
        if (inside[which].fetch_add(1) + 1 > static_cast<int>(kLimit)) too_many = true;
        if (i % 4 == 0) std::this_thread::yield();
        inside[which].fetch_sub(1);
        table.Remove(which * 64 + 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(too_many);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace postern::guard
