#include "proxy/admin/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/socket_address.h"

namespace postern::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A blocking client socket that sees the bytes as they are.
class Client {
 public:
  explicit Client(const std::string& address) {
    const SocketAddress to = SocketAddress::Parse(address).value();
    fd_ = socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    connected_ = connect(fd_, to.data(), to.length()) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }

  // False when the server has closed.
  bool Send(const std::string& text) {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t length = send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (length < 0) return false;
      sent += static_cast<size_t>(length);
    }
    return true;
  }

  // Everything until the server closes or resets.
  std::string ReadToEnd() {
    std::string text;
    while (ReadMore(text)) {
    }
    return text;
  }

  // One answer with a Content-Length, for connections that stay.
  std::string ReadAnswer() {
    std::string text;
    for (;;) {
      const size_t head = text.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t field = text.find("Content-Length: ");
        if (field == std::string::npos || field > head) return text;
        const auto length = static_cast<size_t>(std::atoi(text.c_str() + field + 16));
        if (text.size() >= head + 4 + length) return text;
      }
      if (!ReadMore(text)) return text;
    }
  }

 private:
  bool ReadMore(std::string& text) {
    char buffer[4096];
    const ssize_t length = recv(fd_, buffer, sizeof(buffer), 0);
    if (length <= 0) return false;
    text.append(buffer, static_cast<size_t>(length));
    return true;
  }

  int fd_ = -1;
  bool connected_ = false;
};

class AdminServerTest : public ::testing::Test {
 protected:
  AdminServerTest() {
    options_.address = "127.0.0.1:0";
    handlers_.metrics = [] { return std::string("postern_workers 2\n"); };
    handlers_.ready = [this] {
      const std::lock_guard<std::mutex> lock(mutex_);
      return readiness_;
    };
    handlers_.status_json = [] { return std::string("{\"version\":\"1\"}\n"); };
  }

  void Start() {
    server_ = std::make_unique<AdminServer>(options_, handlers_);
    const absl::Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << status;
    address_ =
        server_->port() == 0 ? options_.address : absl::StrCat("127.0.0.1:", server_->port());
  }

  std::string Get(const std::string& path, const std::string& method = "GET") {
    Client client(address_);
    client.Send(absl::StrCat(method, " ", path,
                             " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    return client.ReadToEnd();
  }

  AdminOptions options_;
  AdminHandlers handlers_;
  std::mutex mutex_;
  Readiness readiness_;
  std::string address_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, ServesEveryRoute) {
  Start();
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(metrics, HasSubstr("\r\n\r\npostern_workers 2\n"));
  const std::string healthz = Get("/healthz");
  EXPECT_THAT(healthz, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(healthz, HasSubstr("\r\n\r\nok\n"));
  EXPECT_THAT(Get("/readyz"), HasSubstr("\r\n\r\nready\n"));
  const std::string status = Get("/api/v1/status");
  EXPECT_THAT(status, HasSubstr("Content-Type: application/json"));
  EXPECT_THAT(status, HasSubstr("{\"version\":\"1\"}"));
  EXPECT_THAT(status, HasSubstr("Cache-Control: no-store"));
}

TEST_F(AdminServerTest, HeadHasNoBody) {
  Start();
  const std::string head = Get("/metrics", "HEAD");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(head, HasSubstr("Content-Length: 18"));
  EXPECT_THAT(head, Not(HasSubstr("postern_workers")));
}

TEST_F(AdminServerTest, NotReadySaysWhy) {
  Start();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    readiness_ = {false, {"draining", "no backend of pool \"mail\" answers"}};
  }
  const std::string readyz = Get("/readyz");
  EXPECT_THAT(readyz, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(readyz, HasSubstr("not ready\ndraining\nno backend of pool \"mail\" answers\n"));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, StalledWorkerIsNotHealthy) {
  handlers_.healthy = [] { return Readiness{false, {"worker 1 has not turned for 12 s"}}; };
  Start();
  const std::string healthz = Get("/healthz");
  EXPECT_THAT(healthz, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(healthz, HasSubstr("worker 1 has not turned"));
}

TEST_F(AdminServerTest, AnythingElseIsNotFoundInJson) {
  Start();
  for (const auto& [path, method] : std::vector<std::pair<std::string, std::string>>{
           {"/nothing", "GET"}, {"/metrics/", "GET"}, {"/metrics", "DELETE"}, {"/../etc", "GET"}}) {
    const std::string answer = Get(path, method);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 ")) << method << " " << path;
    const nlohmann::json body =
        nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4), nullptr, false);
    ASSERT_TRUE(body.is_object()) << answer;
    EXPECT_TRUE(body.contains("error"));
  }
}

TEST_F(AdminServerTest, ExceptionIsAnErrorWithoutItsText) {
  handlers_.metrics = []() -> std::string { throw std::runtime_error("inside story"); };
  Start();
  const std::string answer = Get("/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(answer, Not(HasSubstr("inside story")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, PageRunsOnlyItsOwnScript) {
  Start();
  const std::string first = Get("/");
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(first, HasSubstr("Content-Type: text/html; charset=utf-8"));
  EXPECT_THAT(
      first,
      HasSubstr("Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:"));
  const size_t at = first.find("script-src 'nonce-");
  ASSERT_NE(at, std::string::npos);
  const std::string nonce = first.substr(at + 18, 32);
  EXPECT_THAT(first, HasSubstr("<script nonce=\"" + nonce + "\">"));
  EXPECT_THAT(first, HasSubstr("<style nonce=\"" + nonce + "\">"));
  EXPECT_THAT(Get("/"), Not(HasSubstr(nonce)));
}

TEST_F(AdminServerTest, KeepsAConnectionForMoreRequests) {
  Start();
  Client client(address_);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.Send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(client.ReadAnswer(), HasSubstr("\r\n\r\nok\n"));
  }
}

// An idle connection must not hold the thread somebody else waits for.
TEST_F(AdminServerTest, IdleConnectionMakesWay) {
  options_.threads = 1;
  options_.idle_timeout = 3600 * kSecond;
  Start();
  Client idle(address_);
  ASSERT_TRUE(idle.Send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_THAT(idle.ReadAnswer(), HasSubstr("ok"));
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(idle.ReadToEnd(), "");
}

TEST_F(AdminServerTest, GivesNeitherRangesNorCompressedAnswers) {
  Start();
  Client client(address_);
  client.Send(
      "GET /metrics HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3,0-3\r\nAccept-Encoding: gzip, br\r\n"
      "Connection: close\r\n\r\n");
  const std::string answer = client.ReadToEnd();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\npostern_workers 2\n"));
}

TEST_F(AdminServerTest, RefusesABigBody) {
  Start();
  Client client(address_);
  client.Send(
      absl::StrCat("POST /api/v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n",
                   std::string(9000, 'x')));
  const std::string answer = client.ReadAnswer();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer, HasSubstr("{\"error\":\"the body is over 8192 bytes\"}"));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, EndsARequestWithoutEnd) {
  Start();
  for (const std::string& head :
       {std::string("GET /metrics HTTP/1.1\r\n"),
        std::string("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), std::string()}) {
    Client client(address_);
    client.Send(head);
    // Headers, chunks or just bytes: the server must stop taking them.
    bool open = true;
    for (int i = 0; i < 100000 && open; ++i)
      open = client.Send("400\r\nX-Filler: " + std::string(1009, 'y') + "\r\n");
    EXPECT_FALSE(open) << head;
  }
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

// A scraper that asks for a big text and does not read it holds its own thread only.
TEST_F(AdminServerTest, SlowReaderDoesNotStopAnotherScrape) {
  options_.threads = 2;
  options_.write_timeout = 3600 * kSecond;
  const std::string big(64 << 20, 'm');
  std::atomic<bool> first{true};
  handlers_.metrics = [&] { return first.exchange(false) ? big : std::string("small 1\n"); };
  Start();
  Client slow(address_);
  ASSERT_TRUE(slow.Send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  char byte = 0;
  ASSERT_EQ(recv(slow.fd(), &byte, 1, 0), 1);  // its answer has begun
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Get("/metrics"), HasSubstr("\r\n\r\nsmall 1\n"));
  server_->Stop();  // does not wait for it either
  EXPECT_LT(slow.ReadToEnd().size(), big.size());
}

// More slow ones than threads: each is thrown out at its deadline, and then others are served.
TEST_F(AdminServerTest, DeadlinesFreeTheThreads) {
  options_.threads = 2;
  // Long enough for a request that is sent at once, also on a busy machine.
  options_.read_timeout = 2 * kSecond;
  options_.write_timeout = 2 * kSecond;
  const std::string big(64 << 20, 'm');
  handlers_.metrics = [&] { return big; };
  Start();
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<Client>(address_));
    ASSERT_TRUE(slow.back()->Send(i % 2 == 0 ? "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
                                             : "GET /healthz HTTP/1.1\r\nHost"));
  }
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  for (const auto& client : slow) EXPECT_LT(client->ReadToEnd().size(), big.size());
}

// Bytes that drip do not extend the deadline of the request.
TEST_F(AdminServerTest, DrippingRequestEndsAtItsDeadline) {
  options_.threads = 1;
  options_.read_timeout = 2 * kSecond;
  Start();
  Client slow(address_);
  std::thread dripper([&slow] {
    while (slow.Send("X")) {
      char byte = 0;
      if (recv(slow.fd(), &byte, 1, MSG_DONTWAIT) == 0) break;
      std::this_thread::yield();
    }
  });
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  dripper.join();
}

TEST_F(AdminServerTest, ScrapesAreNeverMadeTwoAtATime) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  handlers_.metrics = [&] {
    const int now = inside.fetch_add(1) + 1;
    if (now > most.load()) most.store(now);
    std::this_thread::yield();
    inside.fetch_sub(1);
    return std::string("x 1\n");
  };
  Start();
  std::vector<std::thread> scrapers;
  for (int i = 0; i < 4; ++i) {
    scrapers.emplace_back([this] {
      for (int n = 0; n < 25; ++n) EXPECT_THAT(Get("/metrics"), HasSubstr("x 1"));
    });
  }
  for (std::thread& scraper : scrapers) scraper.join();
  EXPECT_EQ(most.load(), 1);
}

TEST_F(AdminServerTest, StopEndsIdleConnectionsAndThePort) {
  options_.idle_timeout = 3600 * kSecond;
  options_.read_timeout = 3600 * kSecond;
  Start();
  Client idle(address_);
  Client half(address_);
  ASSERT_TRUE(half.Send("GET /heal"));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  server_->Stop();
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_EQ(half.ReadToEnd(), "");
  EXPECT_FALSE(Client(address_).connected());
  server_->Stop();  // twice is fine
}

TEST_F(AdminServerTest, AddressInUseIsASentence) {
  Start();
  AdminOptions options;
  options.address = address_;
  AdminServer second(options, handlers_);
  const absl::Status status = second.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("cannot listen on the admin address " + address_));
  EXPECT_THAT(std::string(status.message()), HasSubstr("another program"));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, BadAddressIsASentence) {
  AdminOptions options;
  options.address = "nowhere";
  const absl::Status status = AdminServer(options, handlers_).Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith("[admin] address: "));
}

TEST_F(AdminServerTest, ListensOnIpv6) {
  options_.address = "[::1]:0";
  server_ = std::make_unique<AdminServer>(options_, handlers_);
  const absl::Status status = server_->Start();
  if (!status.ok()) GTEST_SKIP() << "no IPv6 here: " << status;
  address_ = absl::StrCat("[::1]:", server_->port());
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

class UnixSocketTest : public AdminServerTest {
 protected:
  UnixSocketTest() {
    std::string directory = ::testing::TempDir() + "postern_admin_XXXXXX";
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
    directory_ = directory;
    path_ = directory + "/admin.sock";
    options_.address = "unix:" + path_;
  }
  ~UnixSocketTest() override {
    server_.reset();
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(UnixSocketTest, ServesWithModeForTheGroupAndCleansUp) {
  Start();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  EXPECT_EQ(server_->port(), 0);
  EXPECT_THAT(Get("/healthz"), HasSubstr("\r\n\r\nok\n"));
  server_->Stop();
  EXPECT_NE(stat(path_.c_str(), &status), 0);
}

// Nor must connections on which nothing was ever said.
TEST_F(UnixSocketTest, SilentConnectionsMakeWay) {
  options_.threads = 1;
  options_.idle_timeout = 3600 * kSecond;
  Start();
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(std::make_unique<Client>(address_));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  for (const auto& client : silent) EXPECT_EQ(client->ReadToEnd(), "");
  // When nobody else wants the thread, a late first request is still served.
  Client late(address_);
  pollfd closed = {late.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&closed, 1, 400), 0);
  ASSERT_TRUE(late.Send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_THAT(late.ReadAnswer(), HasSubstr("\r\n\r\nok\n"));
}

TEST_F(UnixSocketTest, ReplacesAStaleSocket) {
  const SocketAddress address = SocketAddress::Parse(options_.address).value();
  const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(stale, address.data(), address.length()), 0);
  close(stale);
  Start();
  EXPECT_THAT(Get("/healthz"), HasSubstr("\r\n\r\nok\n"));
}

TEST_F(UnixSocketTest, LeavesALiveSocketAlone) {
  Start();
  AdminServer second(options_, handlers_);
  const absl::Status status = second.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another program"));
  second.Stop();  // must not remove the first one's socket
  EXPECT_THAT(Get("/healthz"), HasSubstr("\r\n\r\nok\n"));
}

TEST_F(UnixSocketTest, LeavesOtherFilesAlone) {
  std::ofstream(path_) << "precious";
  const absl::Status status = AdminServer(options_, handlers_).Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is no socket"));
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(UnixSocketTest, MissingDirectoryIsASentence) {
  options_.address = "unix:" + directory_ + "/none/admin.sock";
  const absl::Status status = AdminServer(options_, handlers_).Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("create the directory"));
}

// A body of a few bytes that would become half a gigabyte, and that before anybody is asked whether
// the sender may change anything.
TEST_F(UnixSocketTest, NeverDecompressesABody) {
  // {"reason":"x"}
  const std::pair<const char*, const char*> bodies[] = {
      {"gzip",
       "1f8b0800000000000203ab562a4a4d2ccecf53b2"
       "52aa50aa0500d72e5f130e000000"},
      {"br", "8b06807b22726561736f6e223a2278227d03"}};
  std::atomic<int> changes{0};
  handlers_.change = [&changes](const BackendChange&) {
    ++changes;
    return absl::OkStatus();
  };
  Start();
  const auto post = [this](const std::string& encoding, const std::string& body) {
    Client client(address_);
    client.Send(absl::StrCat("POST /api/v1/backends/b1/drain HTTP/1.1\r\nHost: x\r\n", encoding,
                             "Content-Length: ", body.size(), "\r\nConnection: close\r\n\r\n",
                             body));
    return client.ReadToEnd();
  };
  EXPECT_THAT(post("", "{\"reason\":\"x\"}"), StartsWith("HTTP/1.1 200 "));
  for (const auto& [encoding, hex] : bodies) {
    EXPECT_THAT(
        post(absl::StrCat("Content-Encoding: ", encoding, "\r\n"), absl::HexStringToBytes(hex)),
        StartsWith("HTTP/1.1 400 "))
        << encoding;
  }
  EXPECT_EQ(changes, 1);
}

TEST(IsLocalOnly, KnowsLoopback) {
  for (const char* address : {"127.0.0.1:9110", "127.8.9.10:1", "[::1]:9110", "unix:/run/a.sock",
                              "[::ffff:127.0.0.1]:9110"}) {
    EXPECT_TRUE(IsLocalOnly(address)) << address;
  }
  for (const char* address : {"0.0.0.0:9110", "[::]:9110", "*:9110", "192.0.2.1:9110",
                              "[2001:db8::1]:9110", "128.0.0.1:1", "", "garbage"}) {
    EXPECT_FALSE(IsLocalOnly(address)) << address;
  }
}

}  // namespace
}  // namespace postern::admin
