#include "proxy/guard/address_set.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace postern::guard {
namespace {

SocketAddress Ip(const std::string& text) { return SocketAddress::FromIp(text, 1).value(); }

AddressSet SetOf(const std::vector<std::string>& networks) {
  AddressSet set;
  for (const std::string& network : networks) set.Add(IpNetwork::Parse(network).value());
  set.Finish();
  return set;
}

TEST(AddressSet, EndsOfNetworks) {
  const AddressSet set = SetOf({"192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "2001:db9::1"});
  EXPECT_EQ(set.size(), 4u);
  for (const char* in : {"192.0.2.0", "192.0.2.255", "198.51.100.7",
                         "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::1"}) {
    EXPECT_TRUE(set.Contains(Ip(in))) << in;
  }
  for (const char* out :
       {"192.0.1.255", "192.0.3.0", "198.51.100.6", "198.51.100.8", "0.0.0.0", "255.255.255.255",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "2001:db9::2", "::"}) {
    EXPECT_FALSE(set.Contains(Ip(out))) << out;
  }
}

TEST(AddressSet, NothingAndEverything) {
  const AddressSet nothing = SetOf({});
  EXPECT_FALSE(nothing.Contains(Ip("192.0.2.1")));
  EXPECT_FALSE(nothing.Contains(Ip("::1")));
  const AddressSet everything = SetOf({"0.0.0.0/0", "::/0", "10.0.0.0/8", "fe80::1"});
  EXPECT_EQ(everything.size(), 2u);
  for (const char* in : {"0.0.0.0", "255.255.255.255", "::", "ffff::"}) {
    EXPECT_TRUE(everything.Contains(Ip(in))) << in;
  }
  EXPECT_FALSE(everything.Contains(SocketAddress::Parse("unix:/run/x").value()));
}

TEST(AddressSet, WhatTouchesOrLiesInsideBecomesOne) {
  EXPECT_EQ(SetOf({"10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "11.0.0.0/8"}).size(), 1u);
  EXPECT_EQ(SetOf({"255.255.255.255", "255.255.255.254", "0.0.0.0"}).size(), 2u);
  EXPECT_EQ(SetOf({"2001:db8::/33", "2001:db8:8000::/33"}).size(), 1u);
}

// Against a plain look at each network, over the edges of blocks.
TEST(AddressSet, AgreesWithASearchThroughAll) {
  std::mt19937_64 random(1);
  for (const size_t count : {1u, 63u, 64u, 65u, 128u, 129u, 1000u}) {
    std::vector<IpNetwork> networks;
    AddressSet set;
    for (size_t i = 0; i < count; ++i) {
      const auto third = random() % 256;
      const auto last = random() % 256;
      const std::string text = i % 3 == 0   ? absl::StrCat("10.1.", third, ".0/24")
                               : i % 3 == 1 ? absl::StrCat("10.2.", third, ".", last)
                                            : absl::StrCat("2001:db8::", third, ":", last);
      networks.push_back(IpNetwork::Parse(text).value());
      set.Add(networks.back());
    }
    set.Finish();
    for (int i = 0; i < 3000; ++i) {
      const SocketAddress address =
          i % 3 == 2 ? Ip(absl::StrCat("2001:db8::", random() % 256, ":", random() % 256))
                     : Ip(absl::StrCat("10.", 1 + i % 3, ".", random() % 256, ".", random() % 256));
      ASSERT_EQ(set.Contains(address), ContainsAddress(networks, address)) << address.ToString();
    }
  }
}

TEST(AddressSet, AMillionNetworksAreCompact) {
  AddressSet set;
  for (int i = 0; i < 1'000'000; ++i) {
    // Every second address, so that none touch.
    const int j = 2 * i;
    set.Add(
        IpNetwork::Parse(absl::StrCat("10.", j >> 16, ".", (j >> 8) & 255, ".", j & 255)).value());
  }
  set.Finish();
  EXPECT_EQ(set.size(), 1'000'000u);
  EXPECT_LT(set.bytes(), 9'000'000u);
  EXPECT_TRUE(set.Contains(Ip("10.15.66.64")));
  EXPECT_FALSE(set.Contains(Ip("10.15.66.65")));
}

}  // namespace
}  // namespace postern::guard
