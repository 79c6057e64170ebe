#include "proxy/resolver.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proxy/name_client.h"

namespace postern {
namespace {

Resolver::Target Name(size_t backend, const std::string& host) {
  HostPort address;
  address.host = host;
  address.port = 110;
  return Resolver::Target{backend, "store", address};
}

std::vector<std::string> Ordered(const std::vector<std::string>& found) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : found) addresses.push_back(*SocketAddress::Parse(text));
  std::vector<std::string> texts;
  for (const SocketAddress& address : InFixedOrder(addresses)) texts.push_back(address.ToString());
  return texts;
}

// Else each look-up would name another first, and the log would speak of a change each time.
TEST(InFixedOrder, RotatedAnswersAreTheSame) {
  const std::vector<std::string> expected = {"[2001:db8::1]:110", "[2001:db8::2]:110",
                                             "192.0.2.1:110", "192.0.2.2:110"};
  EXPECT_EQ(Ordered({"[2001:db8::2]:110", "[2001:db8::1]:110", "192.0.2.2:110", "192.0.2.1:110"}),
            expected);
  EXPECT_EQ(Ordered({"[2001:db8::1]:110", "[2001:db8::2]:110", "192.0.2.1:110", "192.0.2.2:110"}),
            expected);
}

TEST(InFixedOrder, KeepsThePreferredFamilyInFrontAndNothingTwice) {
  const std::vector<std::string> expected = {"192.0.2.1:110", "[2001:db8::1]:110"};
  EXPECT_EQ(Ordered({"192.0.2.1:110", "[2001:db8::1]:110", "192.0.2.1:110"}), expected);
  EXPECT_TRUE(Ordered({}).empty());
}

TEST(Resolver, PutsAddressesIntoTheBook) {
  Resolver resolver;
  auto book = std::make_shared<AddressBook>(1);
  resolver.Watch(book, {Name(0, "localhost")}, 3600 * kSecond);
  ASSERT_TRUE(resolver.WaitForFirstAnswers(20 * kSecond));
  const AddressList addresses = book->Get(0);
  ASSERT_NE(addresses, nullptr);
  ASSERT_FALSE(addresses->empty());
  EXPECT_EQ(addresses->front().port(), 110);
}

TEST(Resolver, AnUnknownNameLeavesNothingAndDoesNotStopTheOthers) {
  Resolver resolver;
  auto book = std::make_shared<AddressBook>(2);
  resolver.Watch(book, {Name(0, "no-such-host.invalid"), Name(1, "localhost")}, 3600 * kSecond);
  ASSERT_TRUE(resolver.WaitForFirstAnswers(60 * kSecond));
  EXPECT_EQ(book->Get(0), nullptr);
  EXPECT_NE(book->Get(1), nullptr);
}

TEST(Resolver, AReloadStartsWithWhatIsKnown) {
  Resolver resolver;
  auto first = std::make_shared<AddressBook>(1);
  resolver.Watch(first, {Name(0, "localhost")}, 3600 * kSecond);
  ASSERT_TRUE(resolver.WaitForFirstAnswers(20 * kSecond));
  auto second = std::make_shared<AddressBook>(3);
  resolver.Watch(second, {Name(2, "localhost")}, 3600 * kSecond);
  // At once, without waiting for another look-up.
  EXPECT_NE(second->Get(2), nullptr);
  EXPECT_EQ(second->Get(0), nullptr);
}

TEST(Resolver, NothingToWatchIsAnsweredAtOnce) {
  Resolver resolver;
  resolver.Watch(std::make_shared<AddressBook>(0), {}, kSecond);
  EXPECT_TRUE(resolver.WaitForFirstAnswers(20 * kSecond));
}

}  // namespace
}  // namespace postern
