#include "bench/maildrop/client_facts.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace postern::maildrop {
namespace {

TEST(ClientFactsTest, XclientSetsWhatItKnows) {
  ClientFacts facts;
  EXPECT_TRUE(facts.ApplyXclient(
      "addr=192.0.2.1 PORT=4711 SESSION=abc TTL=6 Client-Transport=TLS FORWARD=YQ== FOO=1 bar"));
  EXPECT_EQ(facts.ToString(200),
            "addr=192.0.2.1 port=4711 session=abc ttl=6 client-transport=TLS forward=YQ==");
  EXPECT_EQ(facts.Find("port"), "4711");
  EXPECT_EQ(facts.Find("foo"), "");
  EXPECT_TRUE(
      facts.ApplyXclient("PORT=4712 DESTADDR=2001:db8::1 DESTPORT=995 DESTNAME=pop.example"));
  EXPECT_EQ(facts.Find("port"), "4712");
  EXPECT_EQ(facts.Find("destaddr"), "2001:db8::1");
  EXPECT_EQ(facts.ToString(12), "addr=192.0.2");
}

TEST(ClientFactsTest, AWrongValueChangesNothing) {
  for (const char* words :
       {"ADDR=localhost", "ADDR=IPV6:::1", "ADDR=", "PORT=65536", "PORT=x", "TTL=-1",
        "DESTADDR=1.2.3", "DESTPORT=", "DESTNAME=a_b", "DESTNAME=", "PORT=1 ADDR=256.1.1.1"}) {
    ClientFacts facts;
    EXPECT_FALSE(facts.ApplyXclient(words)) << words;
    EXPECT_TRUE(facts.empty()) << words;
  }
}

TEST(ClientFactsTest, ALongSessionIsIgnored) {
  ClientFacts facts;
  EXPECT_TRUE(facts.ApplyXclient(absl::StrCat("SESSION=", std::string(64, 's'))));
  EXPECT_TRUE(facts.ApplyXclient(absl::StrCat("SESSION=", std::string(65, 't'))));
  EXPECT_EQ(facts.Find("session"), std::string(64, 's'));
}

TEST(ClientFactsTest, NothingUnprintableIsShown) {
  ClientFacts facts;
  facts.Set("session", "a\r\nb c\xff");
  EXPECT_EQ(facts.ToString(100), "session=a??b?c?");
}

}  // namespace
}  // namespace postern::maildrop
