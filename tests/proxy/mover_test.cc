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
                            },
                            [this](const std::string& name) {
                              return name == missing_ ? absl::NotFoundError("no such backend")
                                                      : absl::OkStatus();
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
  static Mover::Order GroupOrder(const std::string& range,
                                 std::shared_ptr<routing::BackendState> to) {
    Mover::Order order;
    order.from = {""};
    order.group = routing::UserGroup{routing::Hold::Kind::kHashRange, range};
    order.to = std::move(to);
    order.patience = 3600 * kSecond;
    return order;
  }
  std::vector<std::string> Groups() const {
    std::vector<std::string> texts;
    for (const auto& [group, backend] : states_.overrides()->groups().List()) {
      texts.push_back(absl::StrCat(group.Text(), " ", backend->name()));
    }
    return texts;
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
  absl::Status saved_;   // set before any order
  std::string missing_;  // so
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

TEST_F(MoverTest, ARangeThatCannotBeSavedIsBackInItsPlace) {
  routing::GroupOverrides& groups = states_.overrides()->groups();
  for (const char* range : {"0-7", "4-b"}) {
    ASSERT_TRUE(groups.Set({routing::Hold::Kind::kHashRange, range}, one_).ok());
  }
  const std::vector<std::string> before = Groups();
  saved_ = absl::UnavailableError("the disk is full");
  for (const auto& to : {two_, std::shared_ptr<routing::BackendState>()}) {
    const MoveReport report = WaitForEnd(mover_.Start(GroupOrder("0-7", to)).value().id);
    EXPECT_EQ(report.users[0].state, "failed");
    EXPECT_EQ(Groups(), before);
  }
}

TEST_F(MoverTest, RangesThatMeetGoTheSameWayOrOneAfterTheOther) {
  ASSERT_EQ(states_.affinity()->Join("a", one_), one_);
  const uint64_t id = mover_.Start(GroupOrder("0-f", two_)).value().id;
  const absl::StatusOr<MoveReport> crossing = mover_.Start(GroupOrder("00-7f", one_));
  EXPECT_EQ(crossing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(crossing.status().message()),
              HasSubstr(absl::StrCat("move ", id, " takes hash 0-f to two and is in progress")));
  const uint64_t same_way = mover_.Start(GroupOrder("0-7", two_)).value().id;
  Mover::Order domain = GroupOrder("", one_);
  domain.group = routing::UserGroup{routing::Hold::Kind::kDomain, "example.org"};
  EXPECT_TRUE(mover_.Start(std::move(domain)).ok());
  states_.affinity()->Leave("a");
  EXPECT_EQ(WaitForEnd(id).users[0].state, "moved");
  EXPECT_EQ(WaitForEnd(same_way).users[0].state, "moved");
  EXPECT_TRUE(mover_.Start(GroupOrder("00-7f", one_)).ok());
}

TEST_F(MoverTest, ARangeDoesNotWaitForWhomItDoesNotMove) {
  ASSERT_EQ(states_.affinity()->Join("a@moved.example", one_), one_);
  ASSERT_EQ(states_.affinity()->Join("b@moved.example", one_), one_);
  ASSERT_TRUE(states_.overrides()
                  ->groups()
                  .Set({routing::Hold::Kind::kDomain, "moved.example"}, one_)
                  .ok());
  Mover::Order order = GroupOrder("0-f", two_);
  EXPECT_EQ(mover_.SessionsInTheWay(*order.group, two_), 0);
  EXPECT_EQ(WaitForEnd(mover_.Start(std::move(order)).value().id).users[0].state, "moved");
  EXPECT_EQ(states_.overrides()->Where("a@moved.example"), one_);
}

TEST_F(MoverTest, NobodyIsSentWhereABackendIsBeingRemoved) {
  ASSERT_EQ(states_.affinity()->Join("a", one_), one_);
  Mover::Order order;
  order.users = {"a"};
  order.from = {"one"};
  order.to = two_;
  order.patience = 3600 * kSecond;
  const uint64_t id = mover_.Start(order).value().id;
  EXPECT_EQ(mover_.KeepOut("two").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(mover_.KeepOut("one").code(), absl::StatusCode::kAborted);
  states_.affinity()->Leave("a");
  WaitForEnd(id);
  ASSERT_TRUE(mover_.KeepOut("one").ok());
  order.to = one_;
  order.users = {"b"};
  EXPECT_THAT(std::string(mover_.Start(order).status().message()),
              HasSubstr("backend one is being removed"));
  EXPECT_FALSE(states_.holds()->Covers("b"));
  mover_.Admit("one");
  EXPECT_TRUE(mover_.Start(order).ok());
}

TEST_F(MoverTest, NobodyIsSentToABackendThatWasRemovedMeanwhile) {
  missing_ = "two";
  Mover::Order order = GroupOrder("0-f", two_);
  EXPECT_EQ(mover_.Start(std::move(order)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(states_.holds()->size(), 0u);
}

}  // namespace
}  // namespace postern
