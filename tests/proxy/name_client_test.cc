// Names and services against dnsmasq.
#include "proxy/name_client.h"

#include <poll.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/resolver.h"
#include "tests/lookup_sources/real_server.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

HostPort Host(const std::string& host) {
  HostPort name;
  name.host = host;
  name.port = 110;
  return name;
}

HostPort Service(const std::string& host) {
  HostPort name;
  name.host = host;
  name.srv = true;
  return name;
}

std::vector<std::string> Texts(const std::vector<SocketAddress>& addresses) {
  std::vector<std::string> texts;
  for (const SocketAddress& address : addresses) texts.push_back(address.ToString());
  return texts;
}

class NameClientTest : public ::testing::Test {
 protected:
  NameClientTest() : directory_(""), port_(routing::testing::FreePort()) {}

  // Its records, as lines of dnsmasq's configuration.
  void StartServer(const std::string& records) {
    server_.reset();
    const std::string config = directory_.Write(
        "dnsmasq.conf", absl::StrCat("port=", port_,
                                     "\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\n"
                                     "no-hosts\nno-daemon\npid-file\nuser=root\ngroup=root\n"
                                     "local=/test/\n",
                                     records));
    server_ = std::make_unique<routing::testing::RealServer>(
        std::vector<std::string>{"/usr/sbin/dnsmasq", "--conf-file=" + config}, "",
        directory_.path() + "/log");
    server_->Start([this] { return routing::testing::Listens(port_); });
  }
  std::string servers() const { return absl::StrCat("127.0.0.1:", port_); }

  routing::testing::ServerDirectory directory_;
  const uint16_t port_;
  std::unique_ptr<routing::testing::RealServer> server_;
};

constexpr char kFarm[] =
    "host-record=mail1.test,192.0.2.1,40\n"
    "host-record=mail2.test,192.0.2.2,2001:db8::2,50\n"
    "host-record=mail3.test,192.0.2.3,60\n"
    "cname=alias.test,mail1.test,5\n"
    "local-ttl=70\n"
    "srv-host=_pop3._tcp.test,mail1.test,1101,10,75\n"
    "srv-host=_pop3._tcp.test,mail3.test,1103,10,25\n"
    "srv-host=_pop3._tcp.test,mail2.test,1102,20,0\n"
    "srv-host=_pop3s._tcp.test\n"
    "srv-host=_imap._tcp.test,nowhere.test,143,0,0\n";

TEST_F(NameClientTest, HostsAndServicesTogether) {
  StartServer(kFarm);
  NameClient client(servers());
  const std::vector<NameAnswer> answers =
      client.LookUp({Host("mail1.test"), Service("_pop3._tcp.test"), Host("mail2.test"),
                     Host("alias.test"), Host("nowhere.test"), Service("_pop3s._tcp.test"),
                     Service("_imap._tcp.test"), Service("_nntp._tcp.test")});
  ASSERT_EQ(answers.size(), 8u);
  ASSERT_EQ(answers[0].orders.size(), 1u) << answers[0].error;
  EXPECT_THAT(Texts(answers[0].orders[0]), ElementsAre("192.0.2.1:110"));
  EXPECT_EQ(answers[0].ttl, 40 * kSecond);

  ASSERT_GT(answers[1].orders.size(), 1u) << answers[1].error;
  std::map<std::string, size_t> first;
  for (const auto& order : answers[1].orders) {
    ++first[order[0].ToString()];
    EXPECT_THAT(Texts({order[2], order[3]}),
                UnorderedElementsAre("192.0.2.2:1102", "[2001:db8::2]:1102"));
  }
  EXPECT_EQ(first.size(), 2u);
  EXPECT_EQ(first["192.0.2.1:1101"], 3 * first["192.0.2.3:1103"]);
  EXPECT_EQ(answers[1].ttl, 40 * kSecond) << "what runs out first";

  ASSERT_EQ(answers[2].orders.size(), 1u);
  EXPECT_THAT(Texts(answers[2].orders[0]),
              UnorderedElementsAre("192.0.2.2:110", "[2001:db8::2]:110"));
  ASSERT_EQ(answers[3].orders.size(), 1u) << answers[3].error;
  EXPECT_EQ(answers[3].ttl, 5 * kSecond);
  for (const size_t failed : {size_t{4}, size_t{5}, size_t{6}, size_t{7}}) {
    EXPECT_TRUE(answers[failed].orders.empty()) << failed;
    EXPECT_NE(answers[failed].error, "") << failed;
  }
  EXPECT_EQ(answers[5].error, "the service is not offered");
  EXPECT_THAT(answers[6].error, HasSubstr("nowhere.test: "));
}

TEST_F(NameClientTest, NoServer) {
  NameClient client(servers());
  const std::vector<NameAnswer> answers =
      client.LookUp({Host("mail1.test"), Service("_pop3._tcp.test")});
  EXPECT_TRUE(answers[0].orders.empty());
  EXPECT_NE(answers[0].error, "");
  EXPECT_TRUE(answers[1].orders.empty());
  EXPECT_NE(answers[1].error, "");
}

TEST_F(NameClientTest, TheMachinesOwnFiles) {
  const std::vector<NameAnswer> answers = NameClient().LookUp({Host("localhost")});
  ASSERT_EQ(answers[0].orders.size(), 1u) << answers[0].error;
  EXPECT_THAT(Texts(answers[0].orders[0]), ::testing::Contains("127.0.0.1:110"));
}

// The resolver: an address that changes is seen when its record has run out, long before the
// interval; what was known stays while the server is down.
TEST_F(NameClientTest, RecordsThatRunOutAreAskedForAgain) {
  StartServer("host-record=mail1.test,192.0.2.1,1\nsrv-host=_pop3._tcp.test,mail1.test,1101\n");
  Resolver resolver;
  auto book = std::make_shared<AddressBook>(2);
  resolver.Watch(book,
                 {{0, "mail1", Host("mail1.test")}, {1, "service", Service("_pop3._tcp.test")}},
                 3600 * kSecond, servers());
  ASSERT_TRUE(resolver.WaitForFirstAnswers(60 * kSecond));
  const auto at = [&](size_t backend) {
    const AddressList addresses = book->Get(backend);
    return addresses == nullptr ? "" : addresses->front().ToString();
  };
  EXPECT_EQ(at(0), "192.0.2.1:110");
  EXPECT_EQ(at(1), "192.0.2.1:1101");
  server_.reset();
  // Longer than the records live.
  const TimeNs gone = MonotonicNow();
  while (MonotonicNow() < gone + 2500 * kMillisecond) {
    ASSERT_EQ(at(0), "192.0.2.1:110");
    ASSERT_EQ(at(1), "192.0.2.1:1101");
    poll(nullptr, 0, 50);
  }
}

TEST_F(NameClientTest, AChangeIsSeen) {
  StartServer("host-record=mail1.test,192.0.2.1,1\n");
  Resolver resolver;
  auto book = std::make_shared<AddressBook>(1);
  resolver.Watch(book, {{0, "mail1", Host("mail1.test")}}, 3600 * kSecond, servers());
  ASSERT_TRUE(resolver.WaitForFirstAnswers(60 * kSecond));
  EXPECT_EQ(book->Get(0)->front().ToString(), "192.0.2.1:110");
  StartServer("host-record=mail1.test,192.0.2.7,1\n");
  const TimeNs started = MonotonicNow();
  while (book->Get(0)->front().ToString() != "192.0.2.7:110") {
    ASSERT_LT(MonotonicNow(), started + 60 * kSecond);
    poll(nullptr, 0, 20);
  }
}

}  // namespace
}  // namespace postern
