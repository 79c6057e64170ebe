// Orders to move users, without sessions: what is placed, saved and undone.
#include "proxy/mover.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

using ::testing::HasSubstr;

class MoverTest : public ::testing::Test {
 protected:
  MoverTest()
      : sessions_({}),
        mover_(Mover::Parts{&sessions_, &states_, [] {},
                            [this] {
                              ++saves_;
                              return saved_;
                            }}) {
    log::Configure(log::Level::kError);
  }
  ~MoverTest() override { mover_.Stop(); }

  MoveReport Start(std::vector<std::string> users, std::shared_ptr<routing::BackendState> to) {
    Mover::Order order;
    order.from.resize(users.size());
    order.users = std::move(users);
    order.to = std::move(to);
    order.patience = 3600 * kSecond;
    absl::StatusOr<MoveReport> report = mover_.Start(std::move(order));
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }
  MoveReport WaitForEnd(uint64_t id) {
    for (;;) {
      MoveReport report = mover_.Progress(id).value();
      if (report.over) return report;
      std::this_thread::yield();
    }
  }

  routing::BackendStates states_;
  std::shared_ptr<routing::BackendState> one_ = states_.Get("one");
  std::shared_ptr<routing::BackendState> two_ = states_.Get("two");
  SessionDesk sessions_;
  std::atomic<int> saves_{0};
  absl::Status saved_;  // set before any order
  Mover mover_;
};

TEST_F(MoverTest, SavesOnceForAllWhoAreReady) {
  ASSERT_EQ(states_.affinity()->Join("a", one_), one_);
  std::vector<uint64_t> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(Start({"a"}, two_).id);
  EXPECT_EQ(states_.overrides()->Find("a"), nullptr);
  states_.affinity()->Leave("a");
  for (const uint64_t id : ids) EXPECT_EQ(WaitForEnd(id).users[0].state, "moved");
  EXPECT_EQ(states_.overrides()->Find("a"), two_);
  EXPECT_FALSE(states_.holds()->Covers("a"));
  // Twice when the session ended in the middle of a look at all of them.
  EXPECT_LE(saves_, 2);
}

TEST_F(MoverTest, WhatCannotBeSavedIsUndone) {
  saved_ = absl::UnavailableError("the disk is full");
  ASSERT_TRUE(states_.overrides()->Set("b", one_).ok());
  ASSERT_EQ(states_.affinity()->Join("a", one_), one_);
  ASSERT_EQ(states_.affinity()->Join("b", one_), one_);
  std::vector<uint64_t> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Start({"a", "b"}, two_).id);
  states_.affinity()->Leave("a");
  states_.affinity()->Leave("b");
  for (const uint64_t id : ids) {
    for (const MoveReport::User& user : WaitForEnd(id).users) {
      EXPECT_EQ(user.state, "failed");
      EXPECT_EQ(user.why, "the disk is full");
    }
  }
  EXPECT_EQ(states_.overrides()->Find("a"), nullptr);
  EXPECT_EQ(states_.overrides()->Find("b"), one_);
  EXPECT_FALSE(states_.holds()->Covers("a"));
}

TEST_F(MoverTest, OrdersThatSayOtherwiseAreTurnedAway) {
  ASSERT_EQ(states_.affinity()->Join("a", one_), one_);
  const MoveReport first = Start({"a"}, two_);
  EXPECT_EQ(mover_.UnderWay("a", two_), "");
  EXPECT_EQ(mover_.UnderWay("b", nullptr), "");
  EXPECT_THAT(mover_.UnderWay("a", nullptr), HasSubstr(absl::StrCat("move ", first.id, " to two")));
  // Also when both were asked for at the same moment.
  const MoveReport only = Start({"a"}, one_);
  EXPECT_TRUE(only.over);
  EXPECT_EQ(only.users[0].state, "failed");
  const MoveReport mixed = Start({"a", "b", "c"}, nullptr);
  ASSERT_EQ(mixed.users.size(), 3u);
  const MoveReport told = WaitForEnd(mixed.id);
  EXPECT_EQ(told.users[0].user, "b");
  EXPECT_EQ(told.users[0].state, "moved");
  EXPECT_EQ(told.users[1].user, "c");
  EXPECT_EQ(told.users[2].user, "a");
  EXPECT_EQ(told.users[2].state, "failed");
  EXPECT_THAT(told.users[2].why, HasSubstr("is in progress"));
  states_.affinity()->Leave("a");
  EXPECT_EQ(WaitForEnd(first.id).users[0].state, "moved");
  EXPECT_EQ(mover_.UnderWay("a", nullptr), "");
}

}  // namespace
}  // namespace postern
