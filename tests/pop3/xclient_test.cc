#include "proxy/pop3/xclient.h"

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

}  // namespace
}  // namespace postern::pop3
