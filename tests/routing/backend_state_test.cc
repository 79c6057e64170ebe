#include "routing/backend_state.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/log.h"

namespace postern::routing {
namespace {

CheckResult Good() {
  CheckResult result;
  result.good = true;
  return result;
}

CheckResult Bad(const std::string& reason) {
  CheckResult result;
  result.reason = reason;
  return result;
}

constexpr CheckRules kRules{2, 3};

TEST(BackendStateTest, UncheckedIsUsable) {
  const BackendState state("mail1");
  EXPECT_TRUE(state.usable(0));
  EXPECT_EQ(state.Why(0), "");
  EXPECT_EQ(state.health(), Health::kUnchecked);
  EXPECT_EQ(state.Report(0).changes, 0u);
}

TEST(BackendStateTest, FallsAfterSoManyBadChecksInARow) {
  BackendState state("mail1");
  // Soon again only while the verdict may be about to change.
  EXPECT_FALSE(state.OnCheck(Good(), kRules, 1));
  EXPECT_EQ(state.health(), Health::kUp);
  EXPECT_TRUE(state.OnCheck(Bad("a"), kRules, 2));
  EXPECT_TRUE(state.OnCheck(Bad("b"), kRules, 3));
  EXPECT_FALSE(state.OnCheck(Good(), kRules, 4));
  EXPECT_TRUE(state.OnCheck(Bad("c"), kRules, 5));
  EXPECT_TRUE(state.OnCheck(Bad("d"), kRules, 6));
  EXPECT_TRUE(state.usable(0));
  EXPECT_FALSE(state.OnCheck(Bad("e"), kRules, 7));
  EXPECT_FALSE(state.usable(0));
  EXPECT_EQ(state.Why(0), "down: e");
  EXPECT_FALSE(state.OnCheck(Bad("f"), kRules, 8));
  const BackendReport report = state.Report(0);
  EXPECT_EQ(report.reason, "f");
  EXPECT_EQ(report.changed_at, 7);
  EXPECT_EQ(report.changes, 2u);
  EXPECT_EQ(report.checks_good, 2u);
  EXPECT_EQ(report.checks_bad, 6u);
}

TEST(BackendStateTest, RisesAfterSoManyGoodChecksInARow) {
  BackendState state("mail1");
  for (int i = 0; i < 3; ++i) state.OnCheck(Bad("x"), kRules, i);
  ASSERT_EQ(state.health(), Health::kDown);
  EXPECT_TRUE(state.OnCheck(Good(), kRules, 10));
  EXPECT_FALSE(state.OnCheck(Bad("y"), kRules, 11));
  EXPECT_TRUE(state.OnCheck(Good(), kRules, 12));
  EXPECT_FALSE(state.usable(0));
  EXPECT_FALSE(state.OnCheck(Good(), kRules, 13));
  EXPECT_TRUE(state.usable(0));
  EXPECT_EQ(state.Report(0).reason, "");
  EXPECT_EQ(state.Report(0).changed_at, 13);
}

TEST(BackendStateTest, AnotherAddressBeginsAnew) {
  BackendState state("mail1");
  state.BeginChecks("greeting 10.0.0.1:110");
  for (int i = 0; i < 3; ++i) state.OnCheck(Bad("x"), kRules, i);
  state.BeginChecks("greeting 10.0.0.1:110");
  EXPECT_EQ(state.health(), Health::kDown);
  state.BeginChecks("greeting 10.0.0.2:110");
  EXPECT_EQ(state.health(), Health::kUnchecked);
  EXPECT_EQ(state.Report(0).reason, "");
  for (int i = 0; i < 3; ++i) state.OnCheck(Bad("x"), kRules, i);
  state.BeginChecks("");
  EXPECT_TRUE(state.usable(0));
}

// Slow is not dead: who has nowhere else to go goes there, failures count as before, and an answer
// proves nothing.
TEST(BackendStateTest, AnEjectionOfOneThatAnswersIsSofter) {
  log::Configure(log::Level::kError);
  EjectRules rules;
  rules.failures = 3;
  rules.time = 10;
  rules.time_max = 40;
  rules.outliers.window = 100;
  BackendState state("mail1");
  state.Eject(rules, EjectCause::kSlowLogin, "slow", 100);
  EXPECT_FALSE(state.usable(109));
  EXPECT_TRUE(state.usable_for_live_users(109));
  EXPECT_TRUE(state.usable_alone(109));
  EXPECT_EQ(state.Why(109), "ejected: slow");
  state.OnSuccess(105);
  state.EndEjection(105);
  EXPECT_TRUE(state.ejected(105));
  EXPECT_TRUE(state.usable(110));
  EXPECT_FALSE(state.OnFailure(rules, 111)) << "one failure is no second ejection";
  // Known to be slow again only after a window: twice as long.
  state.Eject(rules, EjectCause::kSlowGreeting, "slow", 210);
  EXPECT_EQ(state.Report(211).ejected_until, 230);
  state.SetService(Service::kDisabled, "x", "", 212);
  EXPECT_FALSE(state.usable_alone(213));
  EXPECT_FALSE(state.usable_for_live_users(213));
  state.SetService(Service::kEnabled, "x", "", 214);
  state.Eject(rules, EjectCause::kFailures, "dead", 1000);
  EXPECT_FALSE(state.usable_alone(1001));
  EXPECT_FALSE(state.usable_for_live_users(1001));
  const BackendReport report = state.Report(1001);
  EXPECT_EQ(report.ejections, 3u);
  EXPECT_EQ(report.ejections_by, (std::array<uint64_t, kEjectCauseCount>{1, 1, 1, 0}));
  log::Configure(log::Level::kInfo);
}

TEST(BackendStateTest, BehindManyFailuresOneASecondMayTry) {
  EjectRules rules;
  rules.failures = 2;
  BackendState state("mail1");
  constexpr TimeNs kStart = 100 * kSecond;
  state.OnFailure(rules, kStart);
  EXPECT_TRUE(state.TakeTrial(kStart));
  EXPECT_TRUE(state.TakeTrial(kStart)) << "one failure closes nothing";
  state.OnFailure(rules, kStart);
  EXPECT_FALSE(state.TakeTrial(kStart));
  EXPECT_FALSE(state.TakeTrial(kStart + kSecond - 1));
  EXPECT_TRUE(state.TakeTrial(kStart + kSecond));
  EXPECT_FALSE(state.TakeTrial(kStart + kSecond)) << "two at once";
  // The one that tries may take longer than that.
  EXPECT_TRUE(state.TakeTrial(kStart + 2 * kSecond));
  state.OnFailure(rules, kStart + 5 * kSecond);
  EXPECT_FALSE(state.TakeTrial(kStart + 5 * kSecond));
  state.OnSuccess(kStart + 5 * kSecond);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(state.TakeTrial(kStart + 5 * kSecond));
}

TEST(BackendStateTest, EjectionsGrowAndAreForgotten) {
  log::Configure(log::Level::kError);
  EjectRules rules;
  rules.failures = 3;
  rules.time = 10;
  rules.time_max = 30;
  BackendState state("mail1");
  EXPECT_FALSE(state.OnFailure(rules, 0));
  EXPECT_FALSE(state.OnFailure(rules, 0));
  state.OnSuccess(1);
  EXPECT_FALSE(state.OnFailure(rules, 0));
  EXPECT_FALSE(state.OnFailure(rules, 0));
  EXPECT_TRUE(state.OnFailure(rules, 0));
  state.Eject(rules, "connect: timeout", 100);
  EXPECT_FALSE(state.usable(109));
  EXPECT_EQ(state.Why(109), "ejected: connect: timeout");
  EXPECT_EQ(state.Report(109).ejected_until, 110);
  EXPECT_TRUE(state.usable(110));
  EXPECT_EQ(state.Report(110).ejected_until, 0);
  // A second one while it is out changes nothing.
  state.Eject(rules, "late", 105);
  EXPECT_EQ(state.Report(109).ejections, 1u);
  // On trial: one more failure is enough, also behind a success of a login that began before.
  state.OnSuccess(105);
  EXPECT_TRUE(state.OnFailure(rules, 0));
  state.Eject(rules, "x", 112);
  EXPECT_EQ(state.Report(113).ejected_until, 132);
  state.Eject(rules, "x", 140);
  EXPECT_EQ(state.Report(141).ejected_until, 170) << "time_max";
  // The trial is passed; and after so long a time the first ejection is short again.
  state.OnSuccess(171);
  EXPECT_FALSE(state.OnFailure(rules, 0));
  state.Eject(rules, "x", 201);
  EXPECT_EQ(state.Report(202).ejected_until, 211);
  EXPECT_EQ(state.Report(202).ejections, 4u);
  EjectRules off;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(state.OnFailure(off, 0));
  log::Configure(log::Level::kInfo);
}

TEST(BackendStateTest, AnOperatorsWordComesFirst) {
  log::Configure(log::Level::kError);
  BackendState state("mail1");
  state.SetService(Service::kDraining, "uid 0 (pid 7)", "new disks", 5);
  EXPECT_FALSE(state.usable(6));
  EXPECT_FALSE(state.usable_in_panic());
  EXPECT_EQ(state.Why(6), "draining: new disks");
  EXPECT_EQ(state.Report(6).service, Service::kDraining);
  EXPECT_EQ(state.Report(6).service_at, 5);
  EXPECT_EQ(state.Report(6).service_by, "uid 0 (pid 7)");
  // What checks find meanwhile, and new checks, do not change it.
  state.OnCheck(Good(), kRules, 7);
  state.BeginChecks("something new");
  EXPECT_FALSE(state.usable(8));
  state.SetService(Service::kDisabled, "x", "", 9);
  EXPECT_EQ(state.Why(9), "disabled");
  state.SetService(Service::kEnabled, "x", "", 10);
  EXPECT_TRUE(state.usable(10));
  EXPECT_EQ(state.Why(10), "");
  log::Configure(log::Level::kInfo);
}

TEST(BackendStatesTest, OneForEachName) {
  BackendStates states;
  const auto one = states.Get("mail1");
  EXPECT_EQ(one->name(), "mail1");
  EXPECT_EQ(states.Get("mail1"), one);
  EXPECT_NE(states.Get("mail2"), one);
}

// For the thread sanitizer: logins read while checks write.
TEST(BackendStateTest, ManyThreads) {
  BackendState state("mail1");
  log::Configure(log::Level::kError);
  std::thread writer([&state] {
    for (int i = 0; i < 3000; ++i) {
      const bool good = i / 10 % 2 == 0;
      state.OnCheck(good ? Good() : Bad("x"), kRules, i);
    }
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&state] {
      for (int n = 0; n < 3000; ++n) {
        const std::string why = state.Why(0);
        EXPECT_TRUE(why == "down: x" || why.empty());
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(state.Report(0).checks_good + state.Report(0).checks_bad, 3000u);
}

}  // namespace
}  // namespace postern::routing
