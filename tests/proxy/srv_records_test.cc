#include "proxy/srv_records.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/proxy/dns_answer.h"

namespace postern {
namespace {

using testing::SrvAnswer;
using testing::SrvText;

std::vector<SocketAddress> At(const std::string& ip) { return {*SocketAddress::FromIp(ip, 110)}; }

TEST(ParseSrvAnswerTest, ReadsRecords) {
  const auto records = ParseSrvAnswer(
      SrvAnswer({{10, 60, 110, "mail1.example.net", 30}, {20, 0, 1110, "mail2.example.net", 7}}));
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ((*records)[0].priority, 10);
  EXPECT_EQ((*records)[0].weight, 60);
  EXPECT_EQ((*records)[0].port, 110);
  EXPECT_EQ((*records)[0].target, "mail1.example.net");
  EXPECT_EQ((*records)[0].ttl, 30 * kSecond);
  EXPECT_EQ((*records)[1].target, "mail2.example.net");
  EXPECT_EQ((*records)[1].ttl, 7 * kSecond);
}

TEST(ParseSrvAnswerTest, NoService) {
  EXPECT_EQ(ParseSrvAnswer(SrvAnswer({})).status().message(), "no SRV record");
  EXPECT_EQ(ParseSrvAnswer(SrvAnswer({{0, 0, 0, "", 1}})).status().message(),
            "the service is not offered");
  // One that may not be used does not spoil the others.
  const auto records = ParseSrvAnswer(SrvAnswer({{0, 0, 0, "", 1}, {0, 0, 1, "a", 1}}));
  ASSERT_TRUE(records.ok());
  EXPECT_EQ(records->size(), 1u);
}

TEST(ParseSrvAnswerTest, CutAnywhere) {
  const std::string whole = SrvAnswer({{10, 60, 110, "mail1.example.net", 30}});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseSrvAnswer(whole.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(ParseSrvAnswer("").ok());
}

TEST(ParseSrvAnswerTest, NotMoreThanTheLimit) {
  const std::vector<SrvText> many(200, {1, 1, 110, "a", 1});
  EXPECT_EQ(ParseSrvAnswer(SrvAnswer(many))->size(), kSrvRecordsMax);
}

TEST(OrdersOfTest, PrioritiesFollowOneAnother) {
  const auto orders =
      OrdersOf({{20, 1, At("192.0.2.9")}, {10, 1, At("192.0.2.1")}, {10, 1, At("192.0.2.2")}});
  EXPECT_GT(orders.size(), 1u);
  for (const auto& order : orders) {
    ASSERT_EQ(order.size(), 3u);
    EXPECT_EQ(order[2].IpText(), "192.0.2.9");
    EXPECT_NE(order[0].IpText(), order[1].IpText());
  }
}

TEST(OrdersOfTest, WeightsAreShares) {
  const auto orders = OrdersOf({{0, 60, At("192.0.2.1")},
                                {0, 20, At("192.0.2.2")},
                                {0, 20, At("192.0.2.3")},
                                {0, 0, At("192.0.2.4")}});
  std::map<std::string, double> first;
  for (const auto& order : orders) {
    first[order[0].IpText()] += 1.0 / static_cast<double>(orders.size());
    EXPECT_EQ(order[3].IpText(), "192.0.2.4");
  }
  EXPECT_NEAR(first["192.0.2.1"], 0.6, 0.02);
  EXPECT_NEAR(first["192.0.2.2"], 0.2, 0.02);
  EXPECT_NEAR(first["192.0.2.3"], 0.2, 0.02);
  // A few logins in a row are shared, too.
  std::map<std::string, int> soon;
  for (size_t i = 0; i < 10; ++i) ++soon[orders[i][0].IpText()];
  EXPECT_GE(soon["192.0.2.1"], 4);
  EXPECT_GE(soon["192.0.2.2"], 1);
}

TEST(OrdersOfTest, WithoutWeightsTheSharesAreEqual) {
  std::map<std::string, int> first;
  for (const auto& order : OrdersOf({{0, 0, At("192.0.2.1")}, {0, 0, At("192.0.2.2")}})) {
    ++first[order[0].IpText()];
  }
  EXPECT_EQ(first["192.0.2.1"], first["192.0.2.2"]);
}

TEST(OrdersOfTest, EqualServersGiveEqualOrders) {
  const std::vector<SrvServer> servers = {{0, 1, At("192.0.2.1")}, {0, 3, At("192.0.2.2")}};
  EXPECT_EQ(OrdersOf(servers), OrdersOf(servers));
  EXPECT_EQ(OrdersOf({{5, 9, At("192.0.2.1")}}).size(), 1u);
  EXPECT_TRUE(OrdersOf({}).front().empty());
}

}  // namespace
}  // namespace postern
