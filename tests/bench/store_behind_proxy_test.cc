// The store as what stands in front of it sees it: XCLIENT, PROXY protocol headers, segment sizes,
// latencies. A plain blocking client says exactly the bytes that are meant.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bench/maildrop/store.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/time.h"
#include "tests/tls/test_certificates.h"
#include "tls/context.h"
#include "tls/engine.h"

namespace postern::maildrop {
namespace {

constexpr char kHeader[] = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 995\r\n";

class Connection {
 public:
  explicit Connection(const SocketAddress& address)
      : fd_(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{60, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(connect(fd_, address.data(), address.length()), 0);
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  void Say(absl::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Whatever comes next; empty at the end.
  std::string Hear() {
    char buffer[16384];
    const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
    return std::string(buffer, got > 0 ? static_cast<size_t>(got) : 0);
  }
  // Up to and including `end`.
  std::string HearUntil(absl::string_view end) {
    std::string heard;
    while (!absl::EndsWith(heard, end)) {
      const std::string more = Hear();
      if (more.empty()) break;
      heard += more;
    }
    return heard;
  }

 private:
  int fd_;
};

class StoreBehindProxyTest : public testing::Test {
 protected:
  StoreBehindProxyTest() {
    options_.mailbox.store = "store1";
    options_.mailbox.messages = 3;
  }
  ~StoreBehindProxyTest() override {
    if (store_ != nullptr) store_->Stop();
  }

  SocketAddress Start(ListenTls tls = ListenTls::kOff) {
    Listen listen;
    listen.address = *SocketAddress::Parse("127.0.0.1:0");
    listen.tls = tls;
    options_.listen = {listen};
    store_ = std::make_unique<Store>(options_);
    const absl::Status status = store_->Start();
    EXPECT_TRUE(status.ok()) << status;
    const std::string where = store_->Where();
    return *SocketAddress::Parse(where.substr(0, where.find(' ')));
  }

  Options options_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreBehindProxyTest, XclientIsPipelinedWithTheLogin) {
  options_.xclient = true;
  Connection connection(Start());
  EXPECT_EQ(connection.HearUntil("\n"), "+OK [XCLIENT] store1 ready\r\n");
  connection.Say("XCLIENT ADDR=192.0.2.1 PORT=4711 SESSION=s1\r\nUSER a\r\nPASS b\r\nQUIT\r\n");
  EXPECT_EQ(connection.HearUntil("bye\r\n"),
            "+OK Updated\r\n+OK\r\n"
            "+OK 3 messages on store1 for addr=192.0.2.1 port=4711 session=s1\r\n+OK bye\r\n");
}

TEST_F(StoreBehindProxyTest, XclientIsUnknownWhereItIsNotOffered) {
  Connection connection(Start());
  EXPECT_EQ(connection.HearUntil("\n"), "+OK store1 ready\r\n");
  connection.Say("XCLIENT ADDR=192.0.2.1\r\n");
  EXPECT_EQ(connection.HearUntil("\n"), "-ERR not before login\r\n");
}

TEST_F(StoreBehindProxyTest, TheHeaderComesFirst) {
  options_.proxy_protocol = true;
  const SocketAddress address = Start();
  Connection connection(address);
  // Commands in the same segment are not lost.
  connection.Say(absl::StrCat(kHeader, "USER a\r\nPASS b\r\n"));
  EXPECT_EQ(connection.HearUntil("995\r\n"),
            "+OK store1 ready\r\n+OK\r\n+OK 3 messages on store1 for addr=192.0.2.1 port=4711 "
            "destaddr=198.51.100.2 destport=995\r\n");
  Connection without(address);
  without.Say("USER a\r\n");
  EXPECT_EQ(without.Hear(), "");
}

TEST_F(StoreBehindProxyTest, AHeaderMayComeTogetherWithTheHandshake) {
  tls::testing::TestDirectory directory;
  tls::testing::CertificateSpec spec;
  spec.dns_names = {"store.example"};
  options_.certificate = directory.Write("store", tls::testing::SelfSigned(spec));
  options_.proxy_protocol = true;
  Connection connection(Start(ListenTls::kImplicit));

  tls::Library library;
  tls::ClientOptions client_options;
  client_options.insecure = true;
  const auto context = tls::ClientContext::Create(client_options, &library);
  ASSERT_TRUE(context.ok()) << context.status();
  BlockPool blocks;
  ByteArena output(&blocks);
  const std::unique_ptr<tls::Engine> engine = (*context)->NewEngine(&output);
  ASSERT_EQ(engine->Handshake(), tls::Result::kWantInput);
  connection.Say(absl::StrCat(kHeader, output.view()));
  output.Clear();
  std::string heard;
  while (engine->Handshake() == tls::Result::kWantInput) {
    heard = connection.Hear();
    ASSERT_FALSE(heard.empty());
    engine->SetInput(heard);
  }
  ASSERT_TRUE(engine->handshake_done());
  engine->Write("USER a\r\nPASS b\r\n");
  connection.Say(output.view());
  output.Clear();
  std::string plain;
  while (!absl::EndsWith(plain, "destport=995\r\n")) {
    char buffer[4096];
    size_t bytes = 0;
    const tls::Result result = engine->Read(buffer, sizeof(buffer), &bytes);
    if (result == tls::Result::kOk) {
      plain.append(buffer, bytes);
      continue;
    }
    ASSERT_EQ(result, tls::Result::kWantInput);
    heard = connection.Hear();
    ASSERT_FALSE(heard.empty());
    engine->SetInput(heard);
  }
  EXPECT_TRUE(absl::StartsWith(plain, "+OK store1 ready\r\n+OK\r\n+OK 3 messages")) << plain;
}

TEST_F(StoreBehindProxyTest, SegmentsAreAsShortAsAsked) {
  options_.mss = 1460;
  Connection connection(Start());
  connection.HearUntil("\n");
  tcp_info info{};
  socklen_t length = sizeof(info);
  ASSERT_EQ(getsockopt(connection.fd(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  // Both directions; time stamps take twelve of the octets.
  EXPECT_LE(info.tcpi_snd_mss, 1460u);
  EXPECT_LE(info.tcpi_rcv_mss, 1460u);
  EXPECT_GE(info.tcpi_snd_mss, 1400u);
}

TEST_F(StoreBehindProxyTest, EveryPhaseCanBeSlow) {
  options_.greeting_latency = options_.user_latency = options_.pass_latency =
      options_.list_latency = options_.retr_latency = options_.quit_latency = 10 * kMillisecond;
  Connection connection(Start());
  const auto takes = [&connection](absl::string_view command, absl::string_view end) {
    const TimeNs before = MonotonicNow();
    connection.Say(command);
    EXPECT_NE(connection.HearUntil(end), "");
    return MonotonicNow() - before;
  };
  EXPECT_GE(takes("", "ready\r\n"), 9 * kMillisecond);
  EXPECT_GE(takes("USER a\r\n", "\n"), 9 * kMillisecond);
  EXPECT_GE(takes("PASS b\r\n", "\n"), 9 * kMillisecond);
  EXPECT_GE(takes("STAT\r\n", "\n"), 9 * kMillisecond);
  EXPECT_GE(takes("LIST\r\n", "\r\n.\r\n"), 9 * kMillisecond);
  EXPECT_GE(takes("UIDL 1\r\n", "\n"), 9 * kMillisecond);
  EXPECT_GE(takes("RETR 1\r\n", "\r\n.\r\n"), 9 * kMillisecond);
  EXPECT_GE(takes("QUIT\r\n", "\n"), 9 * kMillisecond);
}

TEST_F(StoreBehindProxyTest, FaultsAreSpreadOverTheSessions) {
  options_.fault = Fault::kErrGreeting;
  options_.fault_percent = 20;
  const SocketAddress address = Start();
  int faulty = 0;
  int longest_run = 0;
  for (int i = 0, run = 0; i < 100; ++i) {
    Connection connection(address);
    run = absl::StartsWith(connection.HearUntil("\n"), "-ERR") ? run + 1 : 0;
    faulty += run > 0 ? 1 : 0;
    longest_run = std::max(longest_run, run);
  }
  EXPECT_EQ(faulty, 20);
  EXPECT_LE(longest_run, 2);
}

}  // namespace
}  // namespace postern::maildrop
