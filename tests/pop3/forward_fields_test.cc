#include "proxy/pop3/forward_fields.h"

#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/pop3/sasl.h"
#include "proxy/pop3/xclient.h"

namespace postern::pop3 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using std::string_literals::operator""s;

std::optional<ForwardFields> Read(absl::string_view text) {
  return ReadForward(EncodeBase64(text));
}

TEST(ForwardFields, OnTheWire) {
  const ForwardFields fields = {{"site", "ams"}, {"odd", "\0\1\t\r\n="s}, {"nothing", ""}};
  const std::string base64 = WriteForward(fields, 1000);
  EXPECT_EQ(DecodeBase64(base64)->view(),
            "site=ams\todd=\1"
            "0\1"
            "1\1t\1r\1n=\tnothing=");
  EXPECT_EQ(ReadForward(base64), fields);
  EXPECT_EQ(WriteForward({}, 1000), "");
}

TEST(ForwardFields, WhatCannotBeCarriedIsLeftOut) {
  EXPECT_THAT(*Read("a=1\tb"), ElementsAre(Pair("a", "1"), Pair("b", "")));
  EXPECT_THAT(*Read("a=1\ta=2\tb=3"), ElementsAre(Pair("a", "1"), Pair("b", "3")));
  EXPECT_THAT(*Read("a b=1\t=2\t\tc=\1x\td=\1\te=5"), ElementsAre(Pair("e", "5")));
  EXPECT_THAT(*Read(absl::StrCat(std::string(65, 'n'), "=1")), IsEmpty());
  EXPECT_THAT(*Read(""), IsEmpty());
  for (const char* bad : {"a=1", "YQ", "YQ=", "YQ==\n", "*"}) {
    EXPECT_FALSE(ReadForward(bad).has_value()) << bad;
  }
}

TEST(ForwardFields, AreCutBetweenThem) {
  const ForwardFields fields = {{"a", "12345"}, {"b", "1234567"}, {"c", "1"}};
  // "a=12345" is 7 bytes, with "b" 17.
  EXPECT_THAT(*ReadForward(WriteForward(fields, 12)), ElementsAre(Pair("a", "12345")));
  // What stands behind one that is too long still has its place.
  EXPECT_THAT(*ReadForward(WriteForward(fields, 23)),
              ElementsAre(Pair("a", "12345"), Pair("c", "1")));
  EXPECT_EQ(ReadForward(WriteForward(fields, 24))->size(), 2u);
  EXPECT_THAT(*ReadForward(WriteForward(fields, 8)), ElementsAre(Pair("c", "1")));
  EXPECT_EQ(WriteForward(fields, 3), "");
}

TEST(ForwardFields, OursComeFirst) {
  EXPECT_THAT(JoinForward({{"site", "ams"}}, {{"x", "1"}, {"site", "fra"}, {"y", "2"}}),
              ElementsAre(Pair("site", "ams"), Pair("x", "1"), Pair("y", "2")));
}

TEST(ForwardFields, InXclient) {
  ClientIdentity identity;
  identity.client = SocketAddress::Parse("203.0.113.9:4711").value();
  identity.forward = {{"site", "ams"}};
  const std::string line = WriteXclient(identity, "s");
  EXPECT_TRUE(absl::EndsWith(line, " FORWARD=c2l0ZT1hbXM=\r\n")) << line;
  const std::optional<XclientFacts> facts = ReadXclient(line.substr(8, line.size() - 10));
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->forward, identity.forward);
  EXPECT_FALSE(ReadXclient("FORWARD=%").has_value());
  EXPECT_THAT(ReadXclient("FORWARD=")->forward, IsEmpty());
}

// Whatever a neighbour told, the command stays in its bounds.
TEST(ForwardFields, NoMoreThanXclientHolds) {
  ClientIdentity identity;
  identity.client = SocketAddress::Parse("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535").value();
  identity.destination = identity.client;
  // 253 bytes, the longest name there is.
  const std::string label(63, 'n');
  identity.server_name = absl::StrCat(label, ".", label, ".", label, ".", label.substr(0, 61));
  for (int i = 0; i < 100; ++i) {
    identity.forward.emplace_back(absl::StrCat("f", i), std::string(10, '\t'));
  }
  const std::string line = WriteXclient(identity, std::string(64, 's'));
  EXPECT_LT(line.size(), kXclientBytesMax);
  EXPECT_GT(line.size(), kXclientBytesMax - 50);
  const std::optional<XclientFacts> facts = ReadXclient(line.substr(8, line.size() - 10));
  ASSERT_TRUE(facts.has_value());
  ASSERT_FALSE(facts->forward.empty());
  EXPECT_EQ(facts->forward[0], identity.forward[0]);
  identity.forward = {{"one", std::string(2000, 'x')}};
  EXPECT_FALSE(absl::StrContains(WriteXclient(identity, "s"), "FORWARD"));
}

}  // namespace
}  // namespace postern::pop3
