#include "routing/agent_report.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/log.h"
#include "routing/backend_state.h"

namespace postern::routing {
namespace {

using Wish = AgentReport::Wish;

TEST(AgentReportTest, EveryWord) {
  EXPECT_EQ(ParseAgentLine("75%\n").percent, 75);
  EXPECT_EQ(ParseAgentLine("0%").percent, 0);
  EXPECT_EQ(ParseAgentLine("100%\r\n").percent, 100);
  EXPECT_EQ(ParseAgentLine("ready").wish, Wish::kReady);
  EXPECT_EQ(ParseAgentLine("DRAIN").wish, Wish::kDrain);
  EXPECT_EQ(ParseAgentLine("maint").wish, Wish::kMaintenance);
  EXPECT_EQ(ParseAgentLine("Up").up, true);
  for (const char* word : {"down", "failed", "stopped"}) {
    EXPECT_EQ(ParseAgentLine(word).up, false) << word;
  }
}

TEST(AgentReportTest, SeveralInOneLine) {
  const AgentReport report = ParseAgentLine("up,ready\t 50%  maxconn:30 90%\nmaint\n");
  EXPECT_EQ(report.up, true);
  EXPECT_EQ(report.wish, Wish::kReady) << "the next line is another one";
  EXPECT_EQ(report.percent, 90) << "the last one counts";
}

TEST(AgentReportTest, TheReason) {
  EXPECT_EQ(ParseAgentLine("down #  disk full \r\n").reason, "disk full");
  EXPECT_EQ(ParseAgentLine("down #a\tb").reason, "a\\x09b");
  EXPECT_EQ(ParseAgentLine("up # fine").reason, "");
  EXPECT_EQ(ParseAgentLine("# down").up.has_value(), false) << "behind # are no words";
  EXPECT_LT(ParseAgentLine("down #" + std::string(400, 'x')).reason.size(), 130u);
}

TEST(AgentReportTest, WhatSaysNothing) {
  for (const char* line : {"", "\n", "hello", "101%", "-5%", "+5%", "%", "5", "5 %", "1e1%", "0x5%",
                           "99999999999999%", "downs", "<html>"}) {
    EXPECT_TRUE(ParseAgentLine(line).empty()) << line;
  }
  EXPECT_TRUE(ParseAgentLine(std::string(600, ' ') + "down").empty()) << "cut";
}

class AgentStateTest : public ::testing::Test {
 protected:
  AgentStateTest() { log::Configure(log::Level::kError); }
  ~AgentStateTest() override { log::Configure(log::Level::kInfo); }

  void Say(const char* line) { state_.OnAgent(ParseAgentLine(line), 7); }

  BackendState state_{"mail1"};
};

TEST_F(AgentStateTest, WhoeverKeepsItOutKeepsItOut) {
  state_.BeginAgent("10.0.0.1:9999", 1);
  EXPECT_TRUE(state_.usable(8));
  Say("drain");
  EXPECT_FALSE(state_.usable(8));
  EXPECT_FALSE(state_.usable_in_panic());
  EXPECT_TRUE(state_.usable_for_live_users(8));
  EXPECT_EQ(state_.Why(8), "its agent says drain");
  Say("maint");
  EXPECT_FALSE(state_.usable_for_live_users(8));
  Say("up");
  EXPECT_FALSE(state_.usable(8)) << "up does not end maint";
  Say("ready");
  EXPECT_TRUE(state_.usable(8));
  Say("down # disk");
  EXPECT_FALSE(state_.usable_for_live_users(8));
  EXPECT_EQ(state_.Why(8), "its agent says ready, down: disk");
  Say("50%");
  EXPECT_FALSE(state_.usable(8)) << "what is not mentioned stays";
  Say("up");
  EXPECT_TRUE(state_.usable(8));
  EXPECT_EQ(state_.Report(8).agent, "50%, ready, up");
  // Good words do not help against an operator's or a check's.
  state_.SetService(Service::kDraining, "x", "", 9);
  Say("up ready 100%");
  EXPECT_FALSE(state_.usable(9));
  state_.SetService(Service::kEnabled, "x", "", 9);
  CheckResult bad;
  state_.OnCheck(bad, {1, 1}, 9);
  Say("up");
  EXPECT_FALSE(state_.usable(9));
}

TEST_F(AgentStateTest, ItsShareOfTheWeight) {
  EXPECT_EQ(state_.weight().Now(100, 8), 100000u);
  Say("30%");
  EXPECT_EQ(state_.weight().Now(100, 8), 30000u);
  EXPECT_EQ(state_.weight().Settled(100), 100000u);
  state_.SetWeight(10, "x", "", 8);
  EXPECT_EQ(state_.weight().Now(100, 8), 3000u);
  Say("0%");
  EXPECT_FALSE(state_.usable(8));
  EXPECT_TRUE(state_.usable_for_live_users(8));
  Say("1%");
  EXPECT_TRUE(state_.usable(8));
  EXPECT_EQ(state_.weight().Now(1, 8), 100u);
}

TEST_F(AgentStateTest, AnotherAgentOrNoneBeginsAnew) {
  state_.BeginAgent("10.0.0.1:9999", 1);
  Say("down 20%");
  state_.BeginAgent("10.0.0.1:9999", 2);
  EXPECT_FALSE(state_.usable(3));
  state_.BeginAgent("", 4);
  EXPECT_TRUE(state_.usable(5));
  EXPECT_EQ(state_.Report(5).agent, "");
  EXPECT_EQ(state_.weight().Now(100, 5), 100000u);
}

}  // namespace
}  // namespace postern::routing
