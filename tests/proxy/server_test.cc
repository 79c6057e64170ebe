// The whole server in one process: threads, reloads and scrapes beside logins. The thread sanitizer
// runs this.
#include "proxy/server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/base/own_port.h"
#include "tests/tls/test_certificates.h"

namespace postern {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A blocking TCP connection that speaks lines.
class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { close(fd_); }

  void Say(const std::string& text) { (void)!send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // One line without its end; empty at the end of the stream.
  std::string Hear() {
    std::string line;
    char c = 0;
    while (recv(fd_, &c, 1, 0) == 1) {
      if (c == '\n') return line;
      if (c != '\r') line += c;
    }
    return line;
  }

 private:
  int fd_;
};

// Listens on a free port of 127.0.0.1.
int ListenAnywhere(uint16_t* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(listen(fd, 128), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  *port = ntohs(address.sin_port);
  return fd;
}

int ConnectTo(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

// A backend that knows just enough POP3, a thread per connection.
class Backend {
 public:
  Backend() : fd_(ListenAnywhere(&port_)), thread_([this] { Run(); }) {}
  ~Backend() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  uint16_t port() const { return port_; }

 private:
  void Run() {
    std::vector<std::thread> sessions;
    for (;;) {
      const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) break;
      sessions.emplace_back([fd] { Serve(fd); });
    }
    for (std::thread& session : sessions) session.join();
  }
  static void Serve(int fd) {
    Line line(fd);
    line.Say("+OK store\r\n");
    for (;;) {
      const std::string command = line.Hear();
      if (command.empty()) return;
      if (command == "CAPA") {
        line.Say("+OK\r\nUSER\r\n.\r\n");
      } else if (command == "STAT") {
        line.Say("+OK 0 0\r\n");
      } else {
        line.Say("+OK\r\n");
      }
      if (command == "QUIT") return;
    }
  }

  uint16_t port_ = 0;
  int fd_;
  std::thread thread_;
};

class ServerTest : public ::testing::Test {
 protected:
  void Write(const std::string& extra) {
    std::ofstream(file_)
        << "hostname = \"pop.example.net\"\nworkers = " << workers_ << "\n"
        << extra << "[[listener]]\naddress = \"127.0.0.1:" << port_
        << "\"\ntls = \"off\"\nplaintext_logins = true\n"
        << "[[pool]]\nname = \"mail\"\nbackends = [{ name = \"store\", address = "
           "\""
        << backend_host_ << ":" << backend_.port()
        << "\" }]\n[[route]]\nusers = \"*\"\npool = \"mail\"\n"
        << "[timeouts]\ndrain = \"5s\"\nclose_linger = \"300ms\"\n[log]\nsessions = \"\"\n";
  }
  void Start() {
    port_ = testing::FreePort();
    Write("");
    absl::StatusOr<config::Config> config = config::LoadConfig(file_);
    ASSERT_TRUE(config.ok()) << config.status();
    server_ = std::make_unique<Server>();
    const absl::Status status = server_->Start(*std::move(config));
    ASSERT_TRUE(status.ok()) << status;
  }
  // Whether a whole session went well.
  bool Poll() const {
    Line line(ConnectTo(port_));
    line.Hear();
    line.Say("USER bob\r\nPASS secret\r\nSTAT\r\nQUIT\r\n");
    const std::string user = line.Hear();
    const std::string pass = line.Hear();
    const std::string stat = line.Hear();
    const std::string quit = line.Hear();
    return user.rfind("+OK", 0) == 0 && pass == "+OK" && stat == "+OK 0 0" && quit == "+OK";
  }

  static config::AddedBackend Addition(const std::string& name, const Backend& backend) {
    config::AddedBackend added;
    added.name = name;
    added.pool = "mail";
    added.address = absl::StrCat("127.0.0.1:", backend.port());
    added.who = "test";
    return added;
  }
  std::string NamesOfBackends() const {
    std::string names;
    for (const auto& backend : server_->Summary().facts.backends) {
      absl::StrAppend(&names, names.empty() ? "" : " ", backend.name);
    }
    return names;
  }
  // Those that have been there since the server's start.
  uint64_t SessionsOf(const std::string& name) const {
    for (const auto& backend : server_->Summary().backends) {
      if (backend.name == name) return backend.totals.sessions_total;
    }
    return 0;
  }
  // A session that has ended for the client may not have ended for the server yet.
  void RemoveWhenEmpty(const std::string& name) {
    absl::Status status;
    do {
      status = server_->RemoveBackend(name, Signature{"test", ""});
      std::this_thread::yield();
    } while (absl::IsAborted(status));
    EXPECT_TRUE(status.ok()) << status;
  }

  void AwaitMove(const MoveReport& move) {
    for (bool over = move.over; !over;) {
      const absl::StatusOr<MoveReport> progress = server_->desk()->MoveProgress(move.id);
      ASSERT_TRUE(progress.ok());
      over = progress->over;
      for (const MoveReport::User& user : progress->users) EXPECT_NE(user.state, "failed");
      std::this_thread::yield();
    }
  }

  tls::testing::TestDirectory directory_;
  std::string file_ = directory_.path() + "/postern.toml";
  Backend backend_;
  std::string backend_host_ = "127.0.0.1";
  int workers_ = 2;
  uint16_t port_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, LogsInWhileItReloadsAndIsScraped) {
  Start();
  std::atomic<bool> stop{false};
  std::thread scraper([&] {
    while (!stop.load()) {
      EXPECT_THAT(server_->MetricsText(), HasSubstr("postern_listener_logins_total"));
      server_->Summary();
      EXPECT_THAT(server_->NotReady(), IsEmpty());
    }
  });
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      for (int session = 0; session < 25; ++session) good += Poll() ? 1 : 0;
    });
  }
  for (int reload = 0; reload < 10; ++reload) EXPECT_TRUE(server_->Reload().ok());
  for (std::thread& client : clients) client.join();
  stop.store(true);
  scraper.join();
  EXPECT_EQ(good.load(), 100);
  const metrics::StatusSummary summary = server_->Summary();
  ASSERT_EQ(summary.backends.size(), 1u);
  EXPECT_EQ(summary.backends[0].totals.sessions_total, 100u);
  server_->Stop();
  // After the drain every gauge is back at zero.
  EXPECT_EQ(server_->Summary().backends[0].totals.sessions, 0);
  EXPECT_EQ(server_->Summary().listeners[0].totals.sessions, 0);
}

TEST_F(ServerTest, ABrokenReloadKeepsWhatRuns) {
  Start();
  const double loaded = server_->Summary().facts.last_reload_unix_seconds;
  EXPECT_GT(loaded, 0);
  Write("wrokers = 3\n");
  const absl::Status status = server_->Reload();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("wrokers"));
  EXPECT_TRUE(Poll());
  EXPECT_THAT(server_->MetricsText(),
              HasSubstr("postern_config_reloads_total{result=\"error\"} 1"));
  EXPECT_EQ(server_->Summary().facts.last_reload_unix_seconds, loaded);
  Write("");
  EXPECT_TRUE(server_->Reload().ok());
  EXPECT_GT(server_->Summary().facts.last_reload_unix_seconds, loaded);
  EXPECT_TRUE(Poll());
  server_->Stop();
}

// A login right after the reload must find an address, not a look-up that still runs.
TEST_F(ServerTest, AReloadWaitsForTheAddressesOfNewNames) {
  Start();
  const std::string name = "localhost";
  for (size_t i = 0; i < name.size(); ++i) {
    // To the resolver each spelling is a name of its own.
    backend_host_ = name;
    backend_host_[i] = absl::ascii_toupper(static_cast<unsigned char>(name[i]));
    Write("");
    ASSERT_TRUE(server_->Reload().ok());
    EXPECT_TRUE(Poll()) << backend_host_;
    EXPECT_TRUE(Poll()) << backend_host_;
  }
  server_->Stop();
}

TEST_F(ServerTest, OneWorkerForEachCpuItMayUse) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  size_t first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  workers_ = 0;
  Start();
  EXPECT_THAT(server_->MetricsText(), HasSubstr("postern_workers 1\n"));
  EXPECT_TRUE(Poll());
  server_->Stop();
  EXPECT_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
}

TEST_F(ServerTest, DrainTellsWhoIsNotLoggedInAndLetsOthersFinish) {
  Start();
  Line waiting(ConnectTo(port_));
  EXPECT_THAT(waiting.Hear(), HasSubstr("+OK pop.example.net"));
  Line joined(ConnectTo(port_));
  joined.Hear();
  joined.Say("USER bob\r\nPASS secret\r\n");
  joined.Hear();
  EXPECT_EQ(joined.Hear(), "+OK");
  std::thread stopping([&] { server_->Stop(); });
  EXPECT_THAT(waiting.Hear(), HasSubstr("-ERR [SYS/TEMP]"));
  EXPECT_EQ(waiting.Hear(), "");
  joined.Say("STAT\r\n");
  EXPECT_EQ(joined.Hear(), "+OK 0 0");
  joined.Say("QUIT\r\n");
  EXPECT_EQ(joined.Hear(), "+OK");
  stopping.join();
}

// The one user of all sessions is never at two backends, whichever come and go.
TEST_F(ServerTest, ABackendWithSessionsStays) {
  Backend second;
  Start();
  const Signature by{"test", ""};
  ASSERT_TRUE(server_->AddBackend(Addition("second", second)).ok());
  EXPECT_EQ(NamesOfBackends(), "store second");
  ASSERT_TRUE(server_->RemoveBackend("store", by).ok());
  EXPECT_EQ(NamesOfBackends(), "second");
  Line joined(ConnectTo(port_));
  joined.Hear();
  joined.Say("USER bob\r\nPASS secret\r\n");
  joined.Hear();
  EXPECT_EQ(joined.Hear(), "+OK");
  config::AddedBackend back;
  back.name = "store";
  ASSERT_TRUE(server_->AddBackend(back).ok());
  absl::Status status = server_->RemoveBackend("second", by);
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("has 1 session or login; "));
  EXPECT_EQ(NamesOfBackends(), "store second");
  ASSERT_TRUE(server_->desk()->SetWeight("second", 0, by).ok());
  EXPECT_TRUE(Poll()) << "where the session is";
  EXPECT_EQ(SessionsOf("second"), 2u);
  EXPECT_EQ(SessionsOf("store"), 0u);
  EXPECT_TRUE(absl::IsAborted(server_->RemoveBackend("second", by)));
  joined.Say("STAT\r\nQUIT\r\n");
  EXPECT_EQ(joined.Hear(), "+OK 0 0");
  EXPECT_EQ(joined.Hear(), "+OK");
  RemoveWhenEmpty("second");
  EXPECT_EQ(NamesOfBackends(), "store");
  EXPECT_TRUE(Poll());
  EXPECT_EQ(SessionsOf("store"), 1u);
  // It begins anew under the old name.
  ASSERT_TRUE(server_->AddBackend(Addition("second", second)).ok());
  EXPECT_EQ(server_->Summary().facts.backends[1].weight_set, -1);
  EXPECT_TRUE(server_->Summary().facts.backends[1].added);
  server_->Stop();
}

TEST_F(ServerTest, BackendsComeAndGoBesideLogins) {
  Backend second;
  Start();
  const Signature by{"test", ""};
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  std::atomic<int> good{0};
  // One at a time, so that the user is nowhere for a moment between two.
  std::thread client([&] {
    while (!stop.load()) ++(Poll() ? good : bad);
  });
  std::thread scraper([&] {
    while (!stop.load()) {
      server_->MetricsText();
      server_->Summary();
    }
  });
  // A session knows the backends that there were when it began: the only one it knows must stay
  // until it is over.
  const auto let_sessions_pass = [&] {
    const int before = good.load() + bad.load();
    while (good.load() + bad.load() < before + 3) std::this_thread::yield();
  };
  for (int round = 0; round < 6; ++round) {
    ASSERT_TRUE(server_->AddBackend(Addition("second", second)).ok());
    let_sessions_pass();
    const std::string gone = round % 2 == 0 ? "store" : "second";
    ASSERT_TRUE(server_->desk()->SetWeight(gone, 0, by).ok());
    RemoveWhenEmpty(gone);
    EXPECT_TRUE(server_->Reload().ok());
    if (gone == "second") continue;
    config::AddedBackend back;
    back.name = gone;
    ASSERT_TRUE(server_->AddBackend(back).ok());
    let_sessions_pass();
    ASSERT_TRUE(server_->desk()->SetWeight("second", 0, by).ok());
    RemoveWhenEmpty("second");
  }
  stop.store(true);
  client.join();
  scraper.join();
  EXPECT_EQ(bad.load(), 0);
  EXPECT_EQ(NamesOfBackends(), "store");
  server_->Stop();
}

TEST_F(ServerTest, ABrokenAdditionChangesNothing) {
  Backend second;
  Start();
  const uint64_t generation = server_->Summary().facts.config_generation;
  const auto wrong = [&](const config::AddedBackend& added) {
    const absl::Status status = server_->AddBackend(added);
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  };
  EXPECT_EQ(wrong(Addition("store", second)), "there is a backend store already");
  EXPECT_EQ(wrong(Addition("mail", second))
                .find("backend mail cannot be added: it has the name "
                      "of the pool in line "),
            0u);
  config::AddedBackend added = Addition("second", second);
  added.pool = "post";
  EXPECT_EQ(wrong(added), "no pool post; there is mail");
  added = Addition("second", second);
  added.address = "nowhere:0";
  EXPECT_THAT(wrong(added), HasSubstr("has port 0"));
  added = Addition("second", second);
  added.tls = "implicit";
  added.ca = "/nowhere.pem";
  EXPECT_THAT(wrong(added), HasSubstr("/nowhere.pem"));
  added = config::AddedBackend();
  added.name = "second";
  EXPECT_THAT(wrong(added), HasSubstr("needs a pool and an address"));
  EXPECT_EQ(server_->RemoveBackend("second", Signature{"test", ""}).message(), "no backend second");
  EXPECT_THAT(std::string(server_->RemoveBackend("store", Signature{"test", ""}).message()),
              HasSubstr("is the last one of pool mail"));
  EXPECT_EQ(server_->Summary().facts.config_generation, generation);
  EXPECT_EQ(NamesOfBackends(), "store");
  EXPECT_TRUE(Poll());
  server_->Stop();
}

// An operator's orders beside logins, reloads and scrapes.
TEST_F(ServerTest, OrdersBesideLogins) {
  Start();
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!stop.load()) good += Poll() ? 1 : 0;
    });
  }
  const Signature by{"test", ""};
  OperatorDesk* desk = server_->desk();
  HoldQuery bob;
  bob.user = "bob";
  SessionQuery others;
  others.user = "nobody";
  MoveOrder order;
  order.users = {"bob", "alice"};
  order.patience = 0;
  MoveOrder everybody;
  everybody.hash_range = "0-f";
  everybody.patience = 0;
  for (int round = 0; round < 10; ++round) {
    const absl::StatusOr<SessionPage> page = desk->Sessions(SessionQuery(), 10);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_TRUE(page->complete);
    const absl::StatusOr<KickResult> kicked = desk->Kick(others, by);
    ASSERT_TRUE(kicked.ok());
    EXPECT_EQ(kicked->kicked, 0u);
    EXPECT_TRUE(desk->Hold(bob, by).ok());
    EXPECT_TRUE(desk->Release(bob, by).ok());
    EXPECT_TRUE(desk->SetService("store", routing::Service::kDraining, kSecond, by).ok());
    EXPECT_TRUE(desk->SetService("store", routing::Service::kEnabled, 0, by).ok());
    // By name and by hash, beside each other.
    order.to = everybody.to = round % 2 == 0 ? "store" : "";
    const absl::StatusOr<MoveReport> move = desk->Move(order, by);
    ASSERT_TRUE(move.ok()) << move.status();
    const absl::StatusOr<MoveReport> move_of_all = desk->Move(everybody, by);
    ASSERT_TRUE(move_of_all.ok()) << move_of_all.status();
    AwaitMove(*move);
    AwaitMove(*move_of_all);
    EXPECT_EQ(desk->Moved("", 10)->total, round % 2 == 0 ? 3u : 0u);
    EXPECT_TRUE(server_->Reload().ok());
    server_->Summary();
  }
  stop.store(true);
  for (std::thread& client : clients) client.join();
  EXPECT_GT(good.load(), 0);
  server_->Stop();
  EXPECT_EQ(server_->Summary().facts.held_logins, 0u);
  EXPECT_EQ(server_->Summary().facts.holds, 0u);
  EXPECT_EQ(server_->Summary().backends[0].totals.sessions, 0);
}

}  // namespace
}  // namespace postern
