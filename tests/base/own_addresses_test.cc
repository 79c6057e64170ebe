#include "proxy/base/own_addresses.h"

#include <string>

#include "gtest/gtest.h"

namespace postern {
namespace {

bool Leads(const std::string& listener, bool v6only, const std::string& address) {
  const OwnAddresses own({{SocketAddress::Parse(listener).value(), v6only}},
                         {"10.1.2.3", "2001:db8::7"});
  return own.Has(SocketAddress::Parse(address).value());
}

TEST(OwnAddressesTest, TheListenerItself) {
  EXPECT_TRUE(Leads("192.0.2.1:110", false, "192.0.2.1:110"));
  EXPECT_FALSE(Leads("192.0.2.1:110", false, "192.0.2.1:995"));
  EXPECT_FALSE(Leads("192.0.2.1:110", false, "127.0.0.1:110"));
  EXPECT_TRUE(Leads("unix:/run/pop3", false, "unix:/run/pop3"));
  EXPECT_FALSE(Leads("unix:/run/pop3", false, "unix:/run/other"));
  EXPECT_FALSE(OwnAddresses().Has(SocketAddress::Parse("127.0.0.1:110").value()));
}

TEST(OwnAddressesTest, AnyAddressOfTheMachine) {
  for (const char* listener : {"0.0.0.0:110", "[::]:110"}) {
    EXPECT_TRUE(Leads(listener, false, "127.0.0.1:110")) << listener;
    EXPECT_TRUE(Leads(listener, false, "127.9.9.9:110")) << listener;
    EXPECT_TRUE(Leads(listener, false, "10.1.2.3:110")) << listener;
    EXPECT_TRUE(Leads(listener, false, "0.0.0.0:110")) << listener;
    EXPECT_FALSE(Leads(listener, false, "10.1.2.4:110")) << listener;
    EXPECT_FALSE(Leads(listener, false, "10.1.2.3:995")) << listener;
  }
  EXPECT_TRUE(Leads("[::]:110", false, "[2001:db8::7]:110"));
  EXPECT_TRUE(Leads("[::]:110", true, "[::1]:110"));
  EXPECT_FALSE(Leads("[::]:110", true, "127.0.0.1:110")) << "IPv6 only";
  EXPECT_FALSE(Leads("0.0.0.0:110", false, "[::1]:110"));
}

TEST(OwnAddressesTest, TheMachineHasLoopback) {
  EXPECT_TRUE(InterfaceAddresses().contains("127.0.0.1"));
}

}  // namespace
}  // namespace postern
