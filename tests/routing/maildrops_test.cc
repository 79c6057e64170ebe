#include "routing/maildrops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace postern::routing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Notes what it was called with: 0 for "free".
struct Somebody {
  Somebody() : place(&Somebody::OnCall, this) {}
  static void OnCall(void* owner, DurationNs idle) {
    static_cast<Somebody*>(owner)->calls.push_back(idle);
  }
  std::vector<DurationNs> calls;
  Maildrops::Place place;
};

TEST(MaildropsTest, WhoWaitsIsCalledWhenAHolderLeaves) {
  Maildrops drops;
  Somebody first, second, third, stranger;
  drops.Hold("anna", &first.place, 10);
  drops.Wait("anna", &second.place);
  drops.Wait("anna", &third.place);
  drops.Wait("bert", &stranger.place);
  EXPECT_EQ(drops.Holders("anna"), 1u);
  EXPECT_EQ(drops.Holders("bert"), 0u);
  EXPECT_EQ(drops.size(), 2u);
  drops.Leave("anna", &first.place);
  EXPECT_EQ(drops.Holders("anna"), 0u);
  EXPECT_THAT(second.calls, ElementsAre(0));
  EXPECT_THAT(third.calls, ElementsAre(0));
  EXPECT_THAT(first.calls, IsEmpty());
  EXPECT_THAT(stranger.calls, IsEmpty());
  drops.Leave("anna", &second.place);
  EXPECT_THAT(third.calls, ElementsAre(0)) << "nobody let go of anything";
  drops.Leave("anna", &third.place);
  drops.Leave("bert", &stranger.place);
  EXPECT_EQ(drops.size(), 0u);
}

TEST(MaildropsTest, APlaceMayWaitAndThenHold) {
  Maildrops drops;
  Somebody first, second;
  drops.Hold("anna", &first.place, 10);
  drops.Wait("anna", &second.place);
  drops.Leave("anna", &first.place);
  drops.Leave("anna", &second.place);
  drops.Hold("anna", &second.place, 20);
  EXPECT_EQ(drops.Holders("anna"), 1u);
  drops.Wait("anna", &first.place);
  drops.Leave("anna", &second.place);
  EXPECT_THAT(first.calls, ElementsAre(0));
  drops.Leave("anna", &first.place);
  EXPECT_EQ(drops.size(), 0u);
}

// Who came in after the waiting began is not asked: it may have waited as well.
TEST(MaildropsTest, OnlyOlderHoldersAreAskedToGiveWay) {
  Maildrops drops;
  Somebody older, younger, other, waits;
  drops.Hold("anna", &older.place, 10);
  drops.Hold("anna", &younger.place, 20);
  drops.Hold("bert", &other.place, 10);
  drops.Wait("anna", &waits.place);
  EXPECT_EQ(drops.AskToGiveWay("anna", 20, 5), 1u);
  EXPECT_THAT(older.calls, ElementsAre(5));
  EXPECT_EQ(drops.AskToGiveWay("anna", 21, 6), 2u);
  EXPECT_THAT(older.calls, ElementsAre(5, 6));
  EXPECT_THAT(younger.calls, ElementsAre(6));
  EXPECT_THAT(waits.calls, IsEmpty());
  EXPECT_THAT(other.calls, IsEmpty());
  EXPECT_EQ(drops.AskToGiveWay("nobody", 99, 5), 0u);
  EXPECT_EQ(drops.Holders("anna"), 2u) << "they go when they are ready";
  drops.Leave("anna", &older.place);
  drops.Leave("anna", &younger.place);
  drops.Leave("anna", &waits.place);
  drops.Leave("bert", &other.place);
}

TEST(MaildropsTest, NobodyIsForgottenByManyThreads) {
  Maildrops drops;
  std::atomic<uint64_t> calls{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&drops, &calls, seed] {
      std::minstd_rand random(seed);
      const auto count = [](void* owner, DurationNs) {
        static_cast<std::atomic<uint64_t>*>(owner)->fetch_add(1, std::memory_order_relaxed);
      };
      Maildrops::Place place(count, &calls);
      for (int i = 0; i < 20000; ++i) {
        const std::string user = absl::StrCat("user", random() % 3);
        if (random() % 2 == 0) {
          drops.Hold(user, &place, i);
        } else {
          drops.Wait(user, &place);
          drops.AskToGiveWay(user, i, 1);
        }
        drops.Leave(user, &place);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(drops.size(), 0u);
  EXPECT_EQ(drops.Holders("user0"), 0u);
}

}  // namespace
}  // namespace postern::routing
