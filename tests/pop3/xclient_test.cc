#include "proxy/pop3/xclient.h"

#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace postern::pop3 {
namespace {

ClientIdentity Identity(absl::string_view client, absl::string_view destination) {
  ClientIdentity identity;
  identity.client = SocketAddress::Parse(client).value();
  identity.destination = SocketAddress::Parse(destination).value();
  return identity;
}

TEST(AnnouncesXclient, OnlyInFrontOfTheText) {
  EXPECT_TRUE(AnnouncesXclient("+OK [XCLIENT] Dovecot ready."));
  EXPECT_TRUE(AnnouncesXclient("+OK [XCLIENT] Dovecot ready. <1.2.3@mail>"));
  EXPECT_TRUE(AnnouncesXclient("+OK [XCLIENT]"));
  for (const char* greeting :
       {"+OK Dovecot ready.", "+OK", "+OK XCLIENT", "+OK  [XCLIENT] ready", "+OK ready [XCLIENT]",
        "+OK [XCLIENTS] ready", "+OK[XCLIENT] ready", "-ERR [XCLIENT] no", "[XCLIENT]", ""}) {
    EXPECT_FALSE(AnnouncesXclient(greeting)) << greeting;
  }
}

TEST(WriteXclient, EveryKey) {
  ClientIdentity identity = Identity("203.0.113.9:4711", "[2001:db8::1]:995");
  identity.tls = true;
  identity.tls_version = "TLSv1.3";
  identity.server_name = "pop.example.net";
  EXPECT_EQ(WriteXclient(identity, "0123456789abcdef"),
            "XCLIENT ADDR=203.0.113.9 PORT=4711 SESSION=0123456789abcdef TTL=6 "
            "CLIENT-TRANSPORT=TLS DESTNAME=pop.example.net DESTADDR=2001:db8::1 DESTPORT=995\r\n");
}

TEST(WriteXclient, NoMoreThanItKnows) {
  ClientIdentity identity = Identity("[2001:db8::9]:4711", "unix:/run/x");
  identity.ttl = 2;
  EXPECT_EQ(WriteXclient(identity, "s"),
            "XCLIENT ADDR=2001:db8::9 PORT=4711 SESSION=s TTL=1 CLIENT-TRANSPORT=insecure\r\n");
  EXPECT_EQ(WriteXclient(ClientIdentity(), "s"),
            "XCLIENT SESSION=s TTL=6 CLIENT-TRANSPORT=insecure\r\n");
}

TEST(WriteXclient, LongestLine) {
  ClientIdentity identity = Identity("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                                     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
  identity.server_name = std::string(253, 'n');
  const std::string line = WriteXclient(identity, std::string(64, 's'));
  EXPECT_LT(line.size(), kXclientBytesMax);
  EXPECT_TRUE(absl::EndsWith(line, " DESTPORT=65535\r\n"));
}

TEST(ReadXclient, WhatWeWrite) {
  ClientIdentity identity = Identity("203.0.113.9:4711", "[2001:db8::1]:995");
  identity.tls = true;
  identity.server_name = "pop.example.net";
  const std::string line = WriteXclient(identity, "0123456789abcdef");
  const std::optional<XclientFacts> facts = ReadXclient(line.substr(8, line.size() - 10));
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->client.ToString(), "203.0.113.9:4711");
  EXPECT_EQ(facts->destination.ToString(), "[2001:db8::1]:995");
  EXPECT_EQ(facts->session, "0123456789abcdef");
  EXPECT_EQ(facts->server_name, "pop.example.net");
  EXPECT_EQ(facts->tls, true);
  EXPECT_EQ(facts->ttl, 6);
}

TEST(ReadXclient, WhatIsLeftOutIsEmpty) {
  const std::optional<XclientFacts> facts = ReadXclient("addr=::ffff:10.0.0.1");
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->client.ToString(), "10.0.0.1:0");
  EXPECT_TRUE(facts->destination.empty());
  EXPECT_EQ(facts->session + facts->server_name, "");
  EXPECT_FALSE(facts->tls.has_value());
  EXPECT_FALSE(facts->ttl.has_value());
  // A port says nothing without its address; keys of later versions are ignored.
  EXPECT_TRUE(ReadXclient("PORT=1 DESTPORT=2 NEW-KEY=x FORWARD=YQ==")->client.empty());
}

TEST(ReadXclient, ValuesThatAreLeftAlone) {
  EXPECT_EQ(ReadXclient(absl::StrCat("SESSION=", std::string(65, 's')))->session, "");
  EXPECT_EQ(ReadXclient(absl::StrCat("SESSION=", std::string(64, 's')))->session.size(), 64u);
  EXPECT_EQ(ReadXclient("SESSION=\xff")->session, "");
  EXPECT_EQ(ReadXclient("SESSION=")->session, "");
  EXPECT_EQ(ReadXclient("CLIENT-TRANSPORT=TLSv1.3")->tls, true);
  EXPECT_EQ(ReadXclient("CLIENT-TRANSPORT=insecure")->tls, false);
  EXPECT_EQ(ReadXclient("CLIENT-TRANSPORT=tls")->tls, false);
}

TEST(ReadXclient, TheNameAskedFor) {
  EXPECT_EQ(ReadXclient("DESTNAME=Pop.example.net")->server_name, "Pop.example.net");
  EXPECT_EQ(ReadXclient("destname=xn--bcher-kva.example TTL=3")->ttl, 3);
}

TEST(ReadXclient, Malformed) {
  for (const char* argument : {"",
                               " ",
                               "ADDR",
                               "ADDR=",
                               "ADDR=x",
                               "ADDR=IPV6:::1",
                               "ADDR=1.2.3.4:5",
                               "ADDR=1.2.3.4 ",
                               "ADDR=1.2.3.4  PORT=1",
                               "PORT=",
                               "PORT=65536",
                               "PORT=-1",
                               "PORT=+1",
                               "PORT=1x",
                               "TTL=",
                               "TTL=256",
                               "TTL=-1",
                               "DESTADDR=pop.example.net",
                               "DESTPORT=99999",
                               "DESTNAME=",
                               "DESTNAME=a..b",
                               "DESTNAME=a_b.example",
                               "DESTNAME=192.0.2.1",
                               "DESTNAME=\xc3\xbc.example",
                               "DESTNAME=<x>",
                               "destname=-a",
                               "ADDR=192.0.2.1 DESTNAME=a. PORT=1"}) {
    EXPECT_FALSE(ReadXclient(argument).has_value()) << argument;
  }
}

}  // namespace
}  // namespace postern::pop3
