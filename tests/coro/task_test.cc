#include "proxy/coro/task.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/coro/status_macros.h"
#include "proxy/coro/wake.h"

namespace postern::coro {
namespace {

// Every test leaves the pool as it found it: no frame leaks, none is freed twice.
class TaskTest : public testing::Test {
 protected:
  void SetUp() override {
    live_ = FramePool::ThisThread().live();
    bytes_ = FramePool::ThisThread().live_bytes();
  }
  void TearDown() override {
    EXPECT_EQ(FramePool::ThisThread().live(), live_);
    EXPECT_EQ(FramePool::ThisThread().live_bytes(), bytes_);
  }
  size_t live_ = 0;
  size_t bytes_ = 0;
};

Task<int> Return(int value) { co_return value; }

Task<int> WaitAndReturn(Wake* wake, int value) {
  co_await wake->Wait();
  co_return value;
}

Task<void> Add(Wake* wake, std::vector<std::string>* log) {
  log->push_back("start");
  const int at_once = co_await Return(1);
  log->push_back("got " + std::to_string(at_once));
  const int later = co_await WaitAndReturn(wake, 2);
  log->push_back("got " + std::to_string(later));
}

void MarkDone(void* argument) { *static_cast<bool*>(argument) = true; }

TEST_F(TaskTest, ATaskIsLazyAndFreesItselfUnstarted) {
  Wake wake;
  std::vector<std::string> log;
  {
    Task<void> task = Add(&wake, &log);
    EXPECT_TRUE(log.empty());
  }
  EXPECT_TRUE(log.empty());
}

TEST_F(TaskTest, DetachRunsUntilTheFirstWaitAndTellsTheEnd) {
  Wake wake;
  std::vector<std::string> log;
  bool done = false;
  Detach(Add(&wake, &log), &MarkDone, &done);
  EXPECT_EQ(log, (std::vector<std::string>{"start", "got 1"}));
  EXPECT_FALSE(done);
  EXPECT_TRUE(wake.waiting());
  wake.Fire();
  EXPECT_FALSE(wake.waiting());
  EXPECT_EQ(log, (std::vector<std::string>{"start", "got 1", "got 2"}));
  EXPECT_TRUE(done);
}

TEST_F(TaskTest, DoneIsCalledAfterTheTasksFrameIsGone) {
  struct Seen {
    static void Look(void* argument) {
      *static_cast<size_t*>(argument) = FramePool::ThisThread().live();
    }
  };
  Wake wake;
  std::vector<std::string> log;
  size_t live_at_end = 99;
  Detach(Add(&wake, &log), &Seen::Look, &live_at_end);
  wake.Fire();
  // Only the frame that calls us is left.
  EXPECT_LE(live_at_end, live_ + 1);
}

TEST_F(TaskTest, DetachWithoutACallback) {
  Wake wake;
  std::vector<std::string> log;
  Detach(Add(&wake, &log));
  wake.Fire();
  EXPECT_EQ(log.size(), 3u);
}

TEST_F(TaskTest, FireWithoutAWaiterDoesNothing) {
  Wake wake;
  wake.Fire();
  std::vector<std::string> log;
  Detach(Add(&wake, &log));
  EXPECT_EQ(log.size(), 2u);
  wake.Fire();
  wake.Fire();
  EXPECT_EQ(log.size(), 3u);
}

Task<std::unique_ptr<std::string>> MoveOnly(Wake* wake) {
  auto text = std::make_unique<std::string>("only one");
  co_await wake->Wait();
  co_return text;
}

Task<void> TakeMoveOnly(Wake* wake, std::unique_ptr<std::string>* out) {
  *out = co_await MoveOnly(wake);
}

TEST_F(TaskTest, MoveOnlyResults) {
  Wake wake;
  std::unique_ptr<std::string> out;
  Detach(TakeMoveOnly(&wake, &out));
  wake.Fire();
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(*out, "only one");
}

Task<int> Deep(Wake* wake, int depth) {
  if (depth == 0) {
    co_await wake->Wait();
    co_return 0;
  }
  const int below = co_await Deep(wake, depth - 1);
  co_return below + 1;
}

Task<void> RunDeep(Wake* wake, int depth, int* result) { *result = co_await Deep(wake, depth); }

TEST_F(TaskTest, DeepChainsUnwind) {
  Wake wake;
  int result = -1;
  Detach(RunDeep(&wake, 500, &result));
  // Not exact: clang may put a child's frame into its parent's.
  EXPECT_GE(FramePool::ThisThread().live(), live_ + 250);
  wake.Fire();
  EXPECT_EQ(result, 500);
}

Task<absl::Status> Step(Wake* wake, bool fails) {
  co_await wake->Wait();
  if (fails) co_return absl::UnavailableError("upstream is gone");
  co_return absl::OkStatus();
}

Task<absl::StatusOr<int>> Number(Wake* wake, bool fails) {
  CO_RETURN_IF_ERROR(co_await Step(wake, fails));
  co_return 7;
}

Task<absl::Status> Both(Wake* wake, bool first_fails, bool second_fails, int* out) {
  CO_RETURN_IF_ERROR(co_await Step(wake, first_fails));
  CO_ASSIGN_OR_RETURN(*out, co_await Number(wake, second_fails));
  CO_ASSIGN_OR_RETURN(const int again, co_await Number(wake, false));
  *out += again;
  co_return absl::OkStatus();
}

Task<void> RunBoth(Wake* wake, bool first_fails, bool second_fails, int* out,
                   absl::Status* status) {
  *status = co_await Both(wake, first_fails, second_fails, out);
}

TEST_F(TaskTest, StatusMacrosReturnEarly) {
  struct Case {
    bool first_fails;
    bool second_fails;
    int fires;
    int out;
  };
  for (const Case& c :
       {Case{false, false, 3, 14}, Case{true, false, 1, 0}, Case{false, true, 2, 0}}) {
    Wake wake;
    int out = 0;
    absl::Status status = absl::InternalError("never returned");
    Detach(RunBoth(&wake, c.first_fails, c.second_fails, &out, &status));
    int fires = 0;
    while (wake.waiting()) {
      wake.Fire();
      ++fires;
    }
    EXPECT_EQ(fires, c.fires);
    EXPECT_EQ(out, c.out);
    EXPECT_EQ(status.ok(), !c.first_fails && !c.second_fails) << status;
  }
}

Task<void> Loop(Wake* wake, int rounds, int* seen) {
  for (int i = 0; i < rounds; ++i) {
    const int value = co_await WaitAndReturn(wake, 1);
    *seen += value;
  }
}

TEST_F(TaskTest, ALoopThatSuspendsKeepsTheStackFlat) {
  Wake wake;
  int seen = 0;
  Detach(Loop(&wake, 200'000, &seen));
  while (wake.waiting()) wake.Fire();
  EXPECT_EQ(seen, 200'000);
}

TEST(FramePool, ReusesFramesOfOneClassAndBalances) {
  FramePool pool;
  void* first = pool.Allocate(100);
  void* second = pool.Allocate(128);
  EXPECT_NE(first, second);
  EXPECT_EQ(pool.live(), 2u);
  EXPECT_EQ(pool.live_bytes(), 256u);
  pool.Free(first, 100);
  EXPECT_EQ(pool.Allocate(1), first);
  void* other_class = pool.Allocate(129);
  EXPECT_EQ(pool.live_bytes(), 512u);
  pool.Free(other_class, 129);
  void* larger = pool.Allocate(300);
  EXPECT_NE(larger, other_class);
  pool.Free(larger, 300);
  pool.Free(first, 1);
  pool.Free(second, 128);
  EXPECT_EQ(pool.live(), 0u);
  EXPECT_EQ(pool.live_bytes(), 0u);
}

TEST(FramePool, LargeFramesGoBackToTheAllocator) {
  FramePool pool;
  void* frame = pool.Allocate(100'000);
  EXPECT_GE(pool.live_bytes(), 100'000u);
  pool.Free(frame, 100'000);
  EXPECT_EQ(pool.live_bytes(), 0u);
}

TEST(WakeDeathTest, OneWaiterAtATime) {
  Wake wake;
  int seen = 0;
  Detach(Loop(&wake, 1, &seen));
  EXPECT_DEATH(Detach(Loop(&wake, 1, &seen)), "CHECK failed");
  wake.Fire();
}

}  // namespace
}  // namespace postern::coro
