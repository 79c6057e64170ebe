#include "routing/backend_state.h"

#include <gtest/gtest.h>

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
  EXPECT_TRUE(state.usable());
  EXPECT_EQ(state.Why(), "");
  EXPECT_EQ(state.health(), Health::kUnchecked);
  EXPECT_EQ(state.Report().changes, 0u);
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
  EXPECT_TRUE(state.usable());
  EXPECT_FALSE(state.OnCheck(Bad("e"), kRules, 7));
  EXPECT_FALSE(state.usable());
  EXPECT_EQ(state.Why(), "down: e");
  EXPECT_FALSE(state.OnCheck(Bad("f"), kRules, 8));
  const BackendReport report = state.Report();
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
  EXPECT_FALSE(state.usable());
  EXPECT_FALSE(state.OnCheck(Good(), kRules, 13));
  EXPECT_TRUE(state.usable());
  EXPECT_EQ(state.Report().reason, "");
  EXPECT_EQ(state.Report().changed_at, 13);
}

TEST(BackendStateTest, AnotherAddressBeginsAnew) {
  BackendState state("mail1");
  state.BeginChecks("greeting 10.0.0.1:110");
  for (int i = 0; i < 3; ++i) state.OnCheck(Bad("x"), kRules, i);
  state.BeginChecks("greeting 10.0.0.1:110");
  EXPECT_EQ(state.health(), Health::kDown);
  state.BeginChecks("greeting 10.0.0.2:110");
  EXPECT_EQ(state.health(), Health::kUnchecked);
  EXPECT_EQ(state.Report().reason, "");
  for (int i = 0; i < 3; ++i) state.OnCheck(Bad("x"), kRules, i);
  state.BeginChecks("");
  EXPECT_TRUE(state.usable());
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
        const std::string why = state.Why();
        EXPECT_TRUE(why == "down: x" || why.empty());
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(state.Report().checks_good + state.Report().checks_bad, 3000u);
}

}  // namespace
}  // namespace postern::routing
