#include "proxy/base/ip_network.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

using ::testing::HasSubstr;

SocketAddress At(absl::string_view ip) { return SocketAddress::FromIp(ip, 4711).value(); }

bool Holds(absl::string_view network, absl::string_view ip) {
  return IpNetwork::Parse(network).value().Contains(At(ip));
}

TEST(IpNetwork, HoldsWhatSharesItsPrefix) {
  EXPECT_TRUE(Holds("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(Holds("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(Holds("192.0.2.128/25", "192.0.2.255"));
  EXPECT_FALSE(Holds("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(Holds("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(Holds("192.0.2.1", "192.0.2.2"));
  EXPECT_TRUE(Holds("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(Holds("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(Holds("0.0.0.0/0", "203.0.113.9"));
  EXPECT_TRUE(Holds("::/0", "2001:db8::1"));
}

TEST(IpNetwork, TheTwoFamiliesNeverMeet) {
  EXPECT_FALSE(Holds("0.0.0.0/0", "::1"));
  EXPECT_FALSE(Holds("::/0", "127.0.0.1"));
  // An IPv4 client on an IPv6 socket is an IPv4 client.
  EXPECT_TRUE(Holds("10.0.0.0/8", "::ffff:10.1.2.3"));
}

TEST(IpNetwork, AUnixSocketIsInNoNetwork) {
  const SocketAddress unix_address = SocketAddress::Parse("unix:/run/x").value();
  EXPECT_FALSE(IpNetwork::Parse("0.0.0.0/0")->Contains(unix_address));
  EXPECT_FALSE(IpNetwork::Parse("::/0")->Contains(unix_address));
  EXPECT_FALSE(IpNetwork::Parse("0.0.0.0/0")->Contains(SocketAddress()));
}

TEST(IpNetwork, PrintsWithItsPrefix) {
  EXPECT_EQ(IpNetwork::Parse("10.0.0.0/8")->ToString(), "10.0.0.0/8");
  EXPECT_EQ(IpNetwork::Parse("192.0.2.1")->ToString(), "192.0.2.1/32");
  EXPECT_EQ(IpNetwork::Parse("2001:DB8::")->ToString(), "2001:db8::/128");
}

TEST(IpNetwork, RefusesWhatIsNone) {
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08x",
        "10.0.0/8", "mail.example.net", "2001:db8::/129", "10.0.0.0/8/8", " 10.0.0.0/8"}) {
    EXPECT_FALSE(IpNetwork::Parse(text).ok()) << text;
  }
}

TEST(IpNetwork, ShowsTheNetworkWhenBitsAreLeftOver) {
  const absl::StatusOr<IpNetwork> network = IpNetwork::Parse("10.1.2.3/8");
  ASSERT_FALSE(network.ok());
  EXPECT_THAT(std::string(network.status().message()), HasSubstr("the network is \"10.0.0.0/8\""));
}

TEST(IpNetwork, AnyOfMany) {
  const std::vector<IpNetwork> networks = {IpNetwork::Parse("10.0.0.0/8").value(),
                                           IpNetwork::Parse("::1").value()};
  EXPECT_TRUE(ContainsAddress(networks, At("10.0.0.1")));
  EXPECT_TRUE(ContainsAddress(networks, At("::1")));
  EXPECT_FALSE(ContainsAddress(networks, At("192.0.2.1")));
  EXPECT_FALSE(ContainsAddress({}, At("10.0.0.1")));
}

}  // namespace
}  // namespace postern
