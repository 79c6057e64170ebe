#include "proxy/pop3/common_capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_join.h"

namespace postern::pop3 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

CapabilityLines Common(const std::vector<CapabilityLines>& servers) {
  std::vector<const CapabilityLines*> all;
  for (const CapabilityLines& server : servers) all.push_back(&server);
  return CommonCapabilities(all);
}

std::string Differences(const std::vector<CapabilityLines>& servers) {
  std::vector<const CapabilityLines*> all;
  std::vector<std::string> names;
  for (const CapabilityLines& server : servers) {
    all.push_back(&server);
    names.push_back("mail" + std::to_string(all.size()));
  }
  return DescribeDifferences(names, all);
}

const CapabilityLines kDovecot = {"CAPA",           "TOP",  "UIDL", "RESP-CODES",      "PIPELINING",
                                  "AUTH-RESP-CODE", "STLS", "USER", "SASL PLAIN LOGIN"};

TEST(CommonCapabilities, OfOneServerAreItsOwnWithoutWhatIsOurs) {
  EXPECT_THAT(Common({kDovecot}),
              ElementsAre("TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"));
  EXPECT_THAT(Common({}), IsEmpty());
}

TEST(CommonCapabilities, ALineIsPromisedWhereAllHaveIt) {
  EXPECT_THAT(Common({kDovecot, {"uidl", "TOP", "X-OWN"}, {"TOP", "UIDL", "PIPELINING"}}),
              ElementsAre("TOP", "UIDL"));
  EXPECT_THAT(Common({{"X-LIMIT 5"}, {"X-LIMIT 6"}}), IsEmpty());
  EXPECT_THAT(Common({kDovecot, {}}), IsEmpty());
}

TEST(CommonCapabilities, CommandsThatWeDoNotPassOnAreNotPromised) {
  EXPECT_THAT(Common({{"UTF8 USER", "LANG", "IMPLEMENTATION x", "TOP"}}), ElementsAre("TOP"));
}

TEST(CommonCapabilities, MailIsKeptAtLeastAsLongAsByTheHastiest) {
  EXPECT_THAT(Common({{"EXPIRE NEVER"}, {"EXPIRE NEVER"}}), ElementsAre("EXPIRE NEVER"));
  EXPECT_THAT(Common({{"EXPIRE NEVER"}, {"EXPIRE 30"}}), ElementsAre("EXPIRE 30 USER"));
  EXPECT_THAT(Common({{"EXPIRE 0"}, {"EXPIRE 5 USER"}, {"EXPIRE 7"}}),
              ElementsAre("EXPIRE 0 USER"));
  EXPECT_THAT(Common({{"expire 5"}, {"EXPIRE 5"}}), ElementsAre("EXPIRE 5"));
  // Who says nothing promises nothing; neither does who says what is no policy.
  EXPECT_THAT(Common({{"EXPIRE 5"}, {"TOP"}}), IsEmpty());
  EXPECT_THAT(Common({{"EXPIRE"}}), IsEmpty());
  EXPECT_THAT(Common({{"EXPIRE -1"}}), IsEmpty());
  EXPECT_THAT(Common({{"EXPIRE 1 2 3"}}), IsEmpty());
}

TEST(CommonCapabilities, ClientsAreToldTheLongestDelay) {
  EXPECT_THAT(Common({{"LOGIN-DELAY 10"}, {"LOGIN-DELAY 10"}}), ElementsAre("LOGIN-DELAY 10"));
  EXPECT_THAT(Common({{"LOGIN-DELAY 10"}, {"LOGIN-DELAY 900"}}),
              ElementsAre("LOGIN-DELAY 900 USER"));
  EXPECT_THAT(Common({{"TOP"}, {"LOGIN-DELAY 10"}}), ElementsAre("LOGIN-DELAY 10 USER"));
  EXPECT_THAT(Common({{"LOGIN-DELAY NEVER"}, {"LOGIN-DELAY 0"}}), IsEmpty());
}

TEST(CommonCapabilities, OurOwnDelayIsMergedIntoTheirs) {
  const auto merged = [](const LoginDelay& own, CapabilityLines lines) {
    AddLoginDelay(own, &lines);
    return absl::StrJoin(lines, ",");
  };
  EXPECT_EQ(merged({0, false}, {"TOP", "LOGIN-DELAY 7"}), "TOP,LOGIN-DELAY 7");
  EXPECT_EQ(merged({60, false}, {"TOP"}), "TOP,LOGIN-DELAY 60");
  EXPECT_EQ(merged({60, true}, {"TOP"}), "TOP,LOGIN-DELAY 60 USER");
  EXPECT_EQ(merged({60, false}, {"login-delay 7", "TOP"}), "TOP,LOGIN-DELAY 60");
  EXPECT_EQ(merged({60, false}, {"LOGIN-DELAY 7 USER"}), "LOGIN-DELAY 60");
  EXPECT_EQ(merged({60, true}, {"LOGIN-DELAY 60"}), "LOGIN-DELAY 60");
  EXPECT_EQ(merged({60, true}, {"LOGIN-DELAY 90"}), "LOGIN-DELAY 90");
  EXPECT_EQ(merged({60, true}, {"LOGIN-DELAY 7"}), "LOGIN-DELAY 60 USER");
  EXPECT_EQ(merged({60, false}, {"LOGIN-DELAY 90 USER"}), "LOGIN-DELAY 90 USER");
  EXPECT_EQ(merged({60, false}, {"LOGIN-DELAY soon", "UIDL"}), "UIDL,LOGIN-DELAY 60");
  EXPECT_EQ(merged({60, false}, {"LOGIN-DELAY NEVER"}), "LOGIN-DELAY 60");
}

TEST(CommonCapabilities, Mechanisms) {
  EXPECT_TRUE(OffersMechanism(kDovecot, "login"));
  EXPECT_FALSE(OffersMechanism(kDovecot, "LOG"));
  EXPECT_FALSE(OffersMechanism(kDovecot, "SASL"));
  EXPECT_FALSE(OffersMechanism({"SASL"}, "PLAIN"));
  EXPECT_FALSE(OffersMechanism({}, "PLAIN"));
}

TEST(CommonCapabilities, DifferencesAreNamed) {
  EXPECT_EQ(Differences({kDovecot, kDovecot}), "");
  // How we are connected, and who wrote the server, is no difference.
  EXPECT_EQ(Differences({{"TOP", "STLS"}, {"IMPLEMENTATION y", "top"}}), "");
  EXPECT_EQ(Differences({{"TOP", "SASL PLAIN XOAUTH2"}, {"SASL plain", "PIPELINING"}}),
            "mail1 lacks PIPELINING; mail2 lacks SASL XOAUTH2, TOP");
  EXPECT_EQ(Differences({{}, {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J"}}),
            "mail1 lacks A, B, C, D, E, F, G, H and 2 more");
}

TEST(CommonCapabilities, WhatMayBeKept) {
  EXPECT_TRUE(IsCapabilityText("LOGIN-DELAY 10"));
  for (const std::string& line :
       {std::string(), std::string("."), std::string(".X"), std::string(" X"), std::string("X\tY"),
        std::string("X\x7f"), std::string("\xc3\xa4"), std::string(511, 'A')}) {
    EXPECT_FALSE(IsCapabilityText(line)) << line;
  }
  EXPECT_TRUE(IsCapabilityText(std::string(510, 'A')));
}

}  // namespace
}  // namespace postern::pop3
