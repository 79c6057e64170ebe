#include "proxy/address_book.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

AddressList List(const std::vector<std::string>& addresses) {
  std::vector<SocketAddress> list;
  for (const std::string& address : addresses) list.push_back(*SocketAddress::Parse(address));
  return std::make_shared<const std::vector<SocketAddress>>(std::move(list));
}

std::vector<std::string> Texts(const AddressList& addresses) {
  std::vector<std::string> texts;
  for (const SocketAddress& address : *addresses) texts.push_back(address.ToString());
  return texts;
}

TEST(AddressBookTest, OrdersInTurn) {
  AddressBook book(2);
  EXPECT_EQ(book.Get(1), nullptr);
  EXPECT_FALSE(book.SetOrders(1, {List({"192.0.2.1:1"}), List({"192.0.2.2:1"})}));
  EXPECT_THAT(Texts(book.Get(1)), ElementsAre("192.0.2.1:1"));
  EXPECT_THAT(Texts(book.Get(1)), ElementsAre("192.0.2.2:1"));
  EXPECT_THAT(Texts(book.Get(1)), ElementsAre("192.0.2.1:1"));
  EXPECT_EQ(book.Get(0), nullptr);
}

TEST(AddressBookTest, WhoLeadsToOurselvesIsLeftOut) {
  AddressBook book(1, OwnAddresses({{*SocketAddress::Parse("0.0.0.0:110"), false}}, {"192.0.2.7"}));
  EXPECT_TRUE(book.Set(0, List({"192.0.2.7:110", "192.0.2.8:110"})));
  EXPECT_THAT(Texts(book.Get(0)), ElementsAre("192.0.2.8:110"));
  EXPECT_TRUE(book.Set(0, List({"127.0.0.1:110"})));
  EXPECT_THAT(Texts(book.Get(0)), IsEmpty());
  EXPECT_EQ(WhyNoAddress(book.Get(0)), "its address is a listener of ours");
  EXPECT_FALSE(book.Set(0, nullptr));
  EXPECT_EQ(WhyNoAddress(book.Get(0)), "no address for its host name");
}

}  // namespace
}  // namespace postern
