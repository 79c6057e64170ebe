// What a pool offers a login: backups, room, bounds, weights of the moment, slow start.
#include "routing/pool_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"
#include "routing/router.h"

namespace postern::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// One pool "mail" of mail0, mail1, ... and its backends' states.
class PoolChoiceTest : public ::testing::Test {
 protected:
  PoolChoiceTest() {
    log::Configure(log::Level::kError);
    pool_.name = "mail";
    pool_.failover = true;
  }
  ~PoolChoiceTest() override { log::Configure(log::Level::kInfo); }

  void Make(int backends) {
    for (int i = 0; i < backends; ++i) {
      BackendOptions backend;
      if (options_.backends.size() > static_cast<size_t>(i)) {
        backend = options_.backends[static_cast<size_t>(i)];
      } else {
        options_.backends.push_back(backend);
      }
      options_.backends[static_cast<size_t>(i)].name = absl::StrCat("mail", i);
      pool_.backends.push_back(i);
      states_.push_back(known_.Get(absl::StrCat("mail", i)));
      states_.back()->SetSlowStart(pool_.slow_start);
    }
    options_.pools = {pool_};
    RouteOptions route;
    route.users = "*";
    route.pool = "mail";
    options_.routes = {route};
    auto router = Router::Create(options_);
    ASSERT_TRUE(router.ok()) << router.status();
    router_ = *std::move(router);
  }
  Decision Route(int user, TimeNs now = 1) const {
    return router_->Route(absl::StrCat("user", user), states_, now);
  }
  int First(int user, TimeNs now = 1) const {
    const Decision decision = Route(user, now);
    return decision.candidate_count == 0 ? -1 : decision.candidates[0];
  }
  BackendState& State(int i) { return *states_[static_cast<size_t>(i)]; }
  void SetDown(int i, bool down, TimeNs now = 1) {
    CheckResult result;
    result.good = !down;
    result.reachable = false;
    State(i).OnCheck(result, {1, 1}, now);
  }
  void Fill(int i, int seats) {
    for (int n = 0; n < seats; ++n) ASSERT_TRUE(State(i).load().TryEnter({}));
  }
  int64_t Seats() {
    int64_t seats = 0;
    for (const auto& state : states_) seats += state->load().seats();
    return seats;
  }

  RouterOptions options_;
  PoolOptions pool_;
  BackendStates known_;
  BackendStateList states_;
  std::unique_ptr<const Router> router_;
};

TEST_F(PoolChoiceTest, BackupsStandInForNobodyElse) {
  options_.backends.resize(4);
  options_.backends[2].backup = options_.backends[3].backup = true;
  Make(4);
  int to_first_backup = 0;
  for (int user = 0; user < 200; ++user) {
    const Decision well = Route(user);
    ASSERT_EQ(well.candidate_count, 4) << "the backups stand behind all others";
    EXPECT_LT(std::max(well.candidates[0], well.candidates[1]), 2);
  }
  SetDown(0, true);
  for (int user = 0; user < 200; ++user) EXPECT_EQ(First(user), 1);
  SetDown(1, true);
  for (int user = 0; user < 200; ++user) {
    EXPECT_GE(First(user), 2);
    EXPECT_FALSE(Route(user).panic);
    to_first_backup += First(user) == 2 ? 1 : 0;
  }
  EXPECT_GT(to_first_backup, 60);
  EXPECT_LT(to_first_backup, 140);
  SetDown(2, true);
  SetDown(3, true);
  EXPECT_EQ(Route(7).candidate_count, 0);
  EXPECT_GE(Route(7).out, 0);
  EXPECT_TRUE(Route(7).panic);
  SetDown(1, false);
  for (int user = 0; user < 200; ++user) EXPECT_EQ(First(user), 1);
}

TEST_F(PoolChoiceTest, BackupsAreNotForThoseWhoFindEverybodyFull) {
  options_.backends.resize(3);
  options_.backends[0].limits = options_.backends[1].limits = {5, 0};
  options_.backends[2].backup = true;
  Make(3);
  Fill(0, 5);
  for (int user = 0; user < 50; ++user) EXPECT_EQ(First(user), 1);
  Fill(1, 5);
  const Decision decision = Route(1);
  EXPECT_TRUE(decision.full);
  EXPECT_EQ(decision.candidate_count, 0);
  EXPECT_GE(decision.out, 0);
  EXPECT_FALSE(decision.panic);
  State(0).load().LeaveLogin();
  EXPECT_EQ(First(1), 0);
}

// Who has one home only is sent there, full or not: the seat is refused at the door.
TEST_F(PoolChoiceTest, WithoutFailoverAFullHomeStaysTheHome) {
  pool_.failover = false;
  options_.backends.resize(2);
  options_.backends[0].limits = options_.backends[1].limits = {1, 0};
  Make(2);
  std::vector<int> homes;
  for (int user = 0; user < 50; ++user) homes.push_back(First(user));
  Fill(0, 1);
  Fill(1, 1);
  for (int user = 0; user < 50; ++user) {
    EXPECT_EQ(First(user), homes[static_cast<size_t>(user)]);
    EXPECT_EQ(Route(user).candidate_count, 1);
  }
}

TEST_F(PoolChoiceTest, NobodyExceedsTheBound) {
  pool_.load_bound_percent = 125;
  options_.backends.resize(10);
  options_.backends[9].weight = 300;
  Make(10);
  int moved = 0;
  for (int user = 0; user < 3000; ++user) {
    const Decision decision = Route(user);
    const int home = router_->Route(absl::StrCat("user", user)).candidates[0];
    const int chosen = decision.candidates[0];
    moved += chosen != home ? 1 : 0;
    ASSERT_TRUE(State(chosen).load().TryEnter({}));
    const double share = chosen == 9 ? 3.0 / 12 : 1.0 / 12;
    EXPECT_LT(static_cast<double>(State(chosen).load().seats() - 1),
              1.25 * share * static_cast<double>(Seats()));
  }
  EXPECT_GT(moved, 0);
  EXPECT_LT(moved, 600) << "most of them stay at home";
  // Many live at one: it takes its bound and no more.
  const int hot = First(1);
  for (int i = 0; i < 10; ++i) {
    while (State(i).load().seats() > 0) State(i).load().LeaveLogin();
  }
  for (int login = 0; login < 1000; ++login) {
    const int chosen = First(1);
    ASSERT_TRUE(State(chosen).load().TryEnter({}));
  }
  const double share = hot == 9 ? 3.0 / 12 : 1.0 / 12;
  EXPECT_NEAR(static_cast<double>(State(hot).load().seats()), 1.25 * share * 1000, 2);
}

// Its sums are some milliseconds old there.
TEST_F(PoolChoiceTest, ALargePoolIsBoundedToo) {
  pool_.load_bound_percent = 150;
  Make(200);
  TimeNs now = kSecond;
  for (int login = 0; login < 20000; ++login, now += kMillisecond) {
    const int chosen = First(login % 40, now);
    ASSERT_GE(chosen, 0);
    ASSERT_TRUE(State(chosen).load().TryEnter({}));
  }
  for (int i = 0; i < 200; ++i) EXPECT_LE(State(i).load().seats(), 152) << i;
}

TEST_F(PoolChoiceTest, AnOperatorsWeightActsAtOnce) {
  Make(4);
  std::vector<int> before;
  for (int user = 0; user < 1000; ++user) before.push_back(First(user));
  State(2).SetWeight(0, "uid 0", "new disks", 5);
  for (int user = 0; user < 1000; ++user) {
    EXPECT_NE(First(user), 2);
    const int was = before[static_cast<size_t>(user)];
    if (was != 2) {
      EXPECT_EQ(First(user), was) << user;
    }
  }
  EXPECT_EQ(router_->Standing(0, states_, 1).backends, 3);
  State(2).SetWeight(200, "uid 0", "", 6);
  int there = 0;
  for (int user = 0; user < 1000; ++user) there += First(user) == 2 ? 1 : 0;
  EXPECT_NEAR(there, 400, 60);
  EXPECT_EQ(State(2).Report(7).weight, 200);
  EXPECT_EQ(State(2).Report(7).weight_by, "uid 0");
  State(2).SetWeight(BackendWeight::kAsConfigured, "uid 0", "", 8);
  for (int user = 0; user < 1000; ++user) EXPECT_EQ(First(user), before[static_cast<size_t>(user)]);
}

TEST_F(PoolChoiceTest, WhoComesBackStartsSlowly) {
  pool_.slow_start = 100 * kSecond;
  Make(4);
  const auto users_there = [this](TimeNs now) {
    std::vector<int> users;
    for (int user = 0; user < 4000; ++user) {
      if (First(user, now) == 1) users.push_back(user);
    }
    return users;
  };
  const std::vector<int> all = users_there(1);
  SetDown(1, true, 10 * kSecond);
  EXPECT_TRUE(users_there(20 * kSecond).empty());
  SetDown(1, false, 30 * kSecond);
  std::vector<int> last;
  for (const int percent : {0, 10, 40, 70, 99}) {
    const std::vector<int> there = users_there((30 + percent) * kSecond);
    EXPECT_TRUE(std::includes(there.begin(), there.end(), last.begin(), last.end()));
    const double share = std::max(5, percent) / 100.0;
    EXPECT_NEAR(static_cast<double>(there.size()), 4000 * share / (3 + share), 70) << percent;
    last = there;
  }
  EXPECT_EQ(users_there(130 * kSecond), all);
  // An ejection ends by itself, and is followed by a slow start, too.
  EjectRules rules;
  rules.failures = 1;
  rules.time = 10 * kSecond;
  State(1).Eject(rules, "x", 200 * kSecond);
  EXPECT_LT(users_there(211 * kSecond).size(), 150u);
  EXPECT_EQ(users_there(311 * kSecond), all);
}

TEST_F(PoolChoiceTest, WithoutFailoverNobodyIsMovedByASlowStart) {
  pool_.failover = false;
  pool_.slow_start = 100 * kSecond;
  Make(3);
  std::vector<int> homes;
  for (int user = 0; user < 300; ++user) homes.push_back(First(user));
  SetDown(1, true, 10 * kSecond);
  SetDown(1, false, 11 * kSecond);
  for (int user = 0; user < 300; ++user) {
    EXPECT_EQ(First(user, 12 * kSecond), homes[static_cast<size_t>(user)]);
  }
}

TEST_F(PoolChoiceTest, LeastSessionsSeesEverySeat) {
  pool_.balance = Balance::kLeastSessions;
  Make(3);
  Fill(0, 3);
  Fill(1, 1);
  Fill(2, 2);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(First(i), 1);
  SetDown(1, true);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(First(i), 2);
  const Decision decision = Route(1);
  EXPECT_EQ(decision.candidate_count, 2);
  EXPECT_EQ(decision.candidates[1], 0);
}

TEST_F(PoolChoiceTest, TurnsFollowAnOperatorsWeight) {
  pool_.balance = Balance::kRoundRobin;
  Make(2);
  State(0).SetWeight(300, "x", "", 1);
  int first = 0;
  for (int i = 0; i < 4000; ++i) first += First(i) == 0 ? 1 : 0;
  EXPECT_NEAR(first, 3000, 10);
}

TEST_F(PoolChoiceTest, TheExplanationTellsWhatMayChangeIt) {
  pool_.load_bound_percent = 125;
  pool_.queue.wait = 2500 * kMillisecond;
  options_.backends.resize(3);
  options_.backends[2].backup = true;
  Make(3);
  const std::string text = router_->Explain("user1");
  EXPECT_THAT(text, HasSubstr("(user-hash over 2 backends and 1 backup)"));
  EXPECT_THAT(text, HasSubstr(", mail2)"));
  EXPECT_THAT(text, HasSubstr("load bound a backend above 1.25 times its share"));
  EXPECT_THAT(text, HasSubstr("waits for up to 2.5 s"));
  EXPECT_THAT(text, HasSubstr("a user who has a session goes where it is"));
}

TEST_F(PoolChoiceTest, TheExplanationOfAPoolThatDoesNotLookAtUsers) {
  pool_.balance = Balance::kLeastSessions;
  Make(3);
  const std::string text = router_->Explain("user1");
  EXPECT_THAT(text, HasSubstr("(least-sessions over 3 backends)"));
  EXPECT_THAT(text, HasSubstr("the usable one with the fewest sessions for its weight"));
  EXPECT_THAT(text, Not(HasSubstr("user hash")));
}

}  // namespace
}  // namespace postern::routing
