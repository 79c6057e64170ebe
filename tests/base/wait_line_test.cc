#include "proxy/base/wait_line.h"

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

using ::testing::ElementsAre;

// Notes who was called.
struct Guest {
  Guest(int number, std::vector<int>* calls, uint64_t epoch = 0)
      : id(number), called(calls), place(&Guest::OnCall, this, epoch) {}
  static void OnCall(void* owner) {
    auto* guest = static_cast<Guest*>(owner);
    guest->called->push_back(guest->id);
  }
  const int id;
  std::vector<int>* called;
  WaitLine::Place place;
};

TEST(WaitLine, FirstComeFirstCalled) {
  std::vector<int> called;
  Guest a(1, &called), b(2, &called), c(3, &called);
  WaitLine line;
  EXPECT_EQ(line.CallNext(5), 0u);
  EXPECT_TRUE(line.Join(&a.place));
  EXPECT_FALSE(line.Join(&b.place));
  EXPECT_FALSE(line.Join(&c.place));
  EXPECT_EQ(line.size(), 3u);
  EXPECT_TRUE(line.IsFirst(&a.place));
  EXPECT_EQ(line.CallNext(2), 2u);
  EXPECT_THAT(called, ElementsAre(1, 2));
  EXPECT_TRUE(line.IsFirst(&c.place));
  EXPECT_FALSE(line.IsFirst(&a.place));
  EXPECT_EQ(line.CallNext(9), 1u);
  EXPECT_THAT(called, ElementsAre(1, 2, 3));
  EXPECT_EQ(line.size(), 0u);
}

TEST(WaitLine, WhoComesBackStandsWhereItStood) {
  std::vector<int> called;
  Guest a(1, &called), b(2, &called), c(3, &called), d(4, &called);
  WaitLine line;
  for (Guest* guest : {&a, &b, &c}) line.Join(&guest->place);
  line.CallNext(2);
  line.Join(&d.place);
  // In the other order, and behind a newcomer.
  EXPECT_TRUE(line.Join(&b.place));
  EXPECT_TRUE(line.Join(&a.place));
  called.clear();
  line.CallNext(4);
  EXPECT_THAT(called, ElementsAre(1, 2, 3, 4));
  // Who has left for good is a newcomer.
  for (Guest* guest : {&a, &b}) line.Join(&guest->place);
  EXPECT_TRUE(line.Leave(&a.place, /*keep=*/false).was_first);
  EXPECT_FALSE(line.Join(&a.place));
  called.clear();
  line.CallNext(2);
  EXPECT_THAT(called, ElementsAre(2, 1));
}

TEST(WaitLine, LeavingTellsWhatTheOthersNeed) {
  std::vector<int> called;
  Guest a(1, &called), b(2, &called), c(3, &called);
  WaitLine line;
  for (Guest* guest : {&a, &b, &c}) line.Join(&guest->place);
  WaitLine::Left left = line.Leave(&b.place, false);
  EXPECT_TRUE(left.was_in && !left.was_first);
  left = line.Leave(&a.place, false);
  EXPECT_TRUE(left.was_in && left.was_first);
  line.CallNext(1);
  left = line.Leave(&c.place, false);
  EXPECT_FALSE(left.was_in || left.was_first);
  EXPECT_THAT(called, ElementsAre(3));
  EXPECT_EQ(line.size(), 0u);
}

TEST(WaitLine, LearnsHowFastItMoves) {
  std::vector<int> called;
  std::deque<Guest> guests;
  WaitLine line;
  for (int i = 0; i < 40; ++i) line.Join(&guests.emplace_back(i, &called).place);
  EXPECT_EQ(line.ExpectedWait(0), 0) << "nothing is known yet";
  TimeNs now = 5 * kSecond;
  for (int i = 0; i < 20; ++i) line.CallForRoom(now += 2 * kSecond);
  EXPECT_EQ(line.size(), 20u);
  EXPECT_EQ(line.ExpectedWait(0), 21 * 2 * kSecond);
  line.CallNext(20);
  // The time in which nobody waited is none between two rooms.
  for (size_t i = 0; i < 3; ++i) line.Join(&guests[i].place);
  EXPECT_EQ(line.ExpectedWait(0), 0);
  line.CallForRoom(now += 3600 * kSecond);
  EXPECT_EQ(line.ExpectedWait(0), 0) << "nor is what the last line has known";
  line.CallForRoom(now += 2 * kSecond);
  EXPECT_EQ(line.ExpectedWait(0), 2 * 2 * kSecond);
  line.CallNext(1);
}

// For the thread sanitizer: nobody is called twice, or after having left, and nobody is forgotten.
TEST(WaitLine, EpochsHaveTheirOwnTurns) {
  std::vector<int> called;
  Guest a(1, &called, 7), b(2, &called, 7), c(3, &called, 9), d(4, &called, 8), e(5, &called, 9);
  WaitLine line;
  line.CallLater(0);
  for (Guest* guest : {&a, &b}) line.Join(&guest->place);
  // A newcomer of a later epoch need not stand behind them.
  EXPECT_EQ(line.SizeSince(7), 2u);
  EXPECT_EQ(line.SizeSince(8), 0u);
  line.CallLater(7);
  EXPECT_THAT(called, ElementsAre());
  for (Guest* guest : {&c, &d, &e}) line.Join(&guest->place);
  EXPECT_EQ(line.SizeSince(8), 3u);
  EXPECT_EQ(line.SizeSince(9), 2u);
  // The first one of a later epoch, and not one of the same that stands in front of it.
  line.CallLater(7);
  EXPECT_THAT(called, ElementsAre(3));
  EXPECT_EQ(line.SizeSince(9), 1u);
  EXPECT_FALSE(line.Join(&c.place));
  line.CallLater(8);
  EXPECT_THAT(called, ElementsAre(3, 3));
  line.CallLater(9);
  EXPECT_THAT(called, ElementsAre(3, 3));
  line.CallNext(9);
  EXPECT_THAT(called, ElementsAre(3, 3, 1, 2, 4, 5));
  EXPECT_EQ(line.SizeSince(0), 0u);
}

TEST(WaitLine, ManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  struct Counting {
    Counting() : place(&Counting::OnCall, this) {}
    static void OnCall(void* owner) { static_cast<Counting*>(owner)->calls.fetch_add(1); }
    std::atomic<int> calls{0};
    WaitLine::Place place;
  };
  WaitLine line;
  std::atomic<bool> stop{false};
  std::atomic<int> called{0};
  std::thread caller([&] {
    while (!stop.load()) called.fetch_add(static_cast<int>(line.CallNext(1)));
  });
  std::atomic<int> met{0};
  std::vector<std::thread> guests;
  for (int t = 0; t < kThreads; ++t) {
    guests.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        Counting guest;
        line.Join(&guest.place);
        if (i % 3 == 0) std::this_thread::yield();
        const bool was_in = line.Leave(&guest.place, i % 2 == 0).was_in;
        EXPECT_EQ(guest.calls.load(), was_in ? 0 : 1);
        met.fetch_add(guest.calls.load());
      }
    });
  }
  for (std::thread& guest : guests) guest.join();
  stop = true;
  caller.join();
  EXPECT_EQ(called.load(), met.load());
  EXPECT_EQ(line.size(), 0u);
}

}  // namespace
}  // namespace postern
