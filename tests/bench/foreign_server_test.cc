// A server whose mail nobody can make again: what is left to check is how it is sent.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "bench/load/generator.h"
#include "bench/load/report.h"
#include "bench/load/script.h"

namespace postern::load {
namespace {

// Answers each command line with the same words every time, one connection after the other.
class CannedServer {
 public:
  explicit CannedServer(std::map<std::string, std::string> answers)
      : answers_(std::move(answers)), listening_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    EXPECT_EQ(bind(listening_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(listening_, 16), 0);
    EXPECT_EQ(getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    address_ = SocketAddress(reinterpret_cast<sockaddr*>(&address), length);
    thread_ = std::thread(&CannedServer::Serve, this);
  }
  ~CannedServer() {
    shutdown(listening_, SHUT_RDWR);
    thread_.join();
    close(listening_);
  }
  const SocketAddress& address() const { return address_; }

 private:
  void Serve() {
    for (;;) {
      const int fd = accept(listening_, nullptr, nullptr);
      if (fd < 0) return;
      Talk(fd);
      close(fd);
    }
  }

  static void Say(int fd, const std::string& words) {
    EXPECT_EQ(send(fd, words.data(), words.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(words.size()));
  }

  void Talk(int fd) const {
    Say(fd, "+OK hello\r\n");
    std::string input;
    char buffer[512];
    for (;;) {
      const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
      if (got <= 0) return;
      input.append(buffer, static_cast<size_t>(got));
      for (size_t end = input.find("\r\n"); end != std::string::npos; end = input.find("\r\n")) {
        const std::string line = input.substr(0, end);
        input.erase(0, end + 2);
        const auto answer = answers_.find(line);
        Say(fd, answer == answers_.end() ? "+OK\r\n" : answer->second);
        if (line == "QUIT") return;
      }
    }
  }

  const std::map<std::string, std::string> answers_;
  const int listening_;
  SocketAddress address_;
  std::thread thread_;
};

class ForeignServerTest : public testing::Test {
 protected:
  Results Fetch(std::map<std::string, std::string> answers, const char* script) {
    answers.try_emplace("STAT", "+OK 1 20\r\n");
    answers.try_emplace("LIST", "+OK\r\n1 20\r\n.\r\n");
    answers.try_emplace("UIDL", "+OK\r\n1 abc\r\n.\r\n");
    answers.try_emplace("RETR 1", "+OK\r\nSubject: x\r\n\r\n..a\r\n..\r\n.\r\n");
    answers.try_emplace("TOP 1 0", "+OK\r\nSubject: x\r\n\r\n.\r\n");
    const CannedServer server(std::move(answers));
    options_.target = server.address();
    options_.script = ScriptName::kFile;
    options_.steps = *ParseScript(script, "test");
    options_.sessions = 1;
    options_.total = 2;
    Generator generator(options_);
    EXPECT_TRUE(generator.Start().ok());
    return generator.Finish();
  }

  Options options_;
};

constexpr char kEverything[] = "login\nstat\nlist\nuidl\nretr all\ntop 1 0\nquit";

uint64_t Count(const Results& results, Ending ending) {
  return results.endings[static_cast<size_t>(ending)];
}

std::string Example(const Results& results, Ending ending) {
  return results.examples[static_cast<size_t>(ending)];
}

TEST_F(ForeignServerTest, SizesAreComparedWithTheListing) {
  // "Subject: x", "", ".a", ".", each with CRLF: 12 + 2 + 4 + 3 = 21.
  const Results wrong = Fetch({}, kEverything);
  EXPECT_EQ(Count(wrong, Ending::kCorrupt), 2u) << Summary(options_, wrong);
  EXPECT_EQ(Example(wrong, Ending::kCorrupt), "RETR: message 1: 21 octets, LIST says 20");
  const Results right = Fetch({{"LIST", "+OK\r\n1 21\r\n.\r\n"}}, kEverything);
  EXPECT_EQ(right.good(), 2u) << Summary(options_, right);
  EXPECT_EQ(right.messages, 2u);
  EXPECT_EQ(right.verified, 0u);
  EXPECT_EQ(right.sizes_compared, 2u);
}

TEST_F(ForeignServerTest, SizesThatAreEstimatesAreNot) {
  options_.keep_sizes = false;
  const Results results = Fetch({}, kEverything);
  EXPECT_EQ(results.good(), 2u) << Summary(options_, results);
  EXPECT_EQ(results.sizes_compared, 0u);
}

TEST_F(ForeignServerTest, WhatIsWronglySentIsReported) {
  struct {
    const char* command;
    const char* answer;
    Ending ending;
    const char* example;
  } const cases[] = {
      {"RETR 1", "+OK\r\nSubject: x\r\n\r\n.a\r\n.\r\n", Ending::kCorrupt,
       "RETR: message 1: a line begins with a single dot"},
      {"TOP 1 0", "+OK\r\n.x\r\n.\r\n", Ending::kCorrupt, "TOP: a line begins with a single dot"},
      {"LIST", "+OK\r\n1 20\r\n2 20\r\n.\r\n", Ending::kProtocol, "LIST: 2 lines for 1 messages"},
      {"LIST", "+OK\r\nhello\r\n.\r\n", Ending::kProtocol, "LIST: hello"},
      {"LIST", "+OK\r\n1 many\r\n.\r\n", Ending::kProtocol, "LIST: 1 many"},
      {"UIDL", "+OK\r\n1 a\r\n1 b\r\n.\r\n", Ending::kProtocol, "UIDL: 1 b"},
      {"UIDL", "+OK\r\n.\r\n", Ending::kProtocol, "UIDL: 0 lines for 1 messages"},
      {"STAT", "+OK many\r\n", Ending::kProtocol, "STAT: +OK many"},
      {"QUIT", "+OK\r\nmore\r\n", Ending::kProtocol, "QUIT: words behind the answer to QUIT"}};
  for (const auto& test : cases) {
    options_.keep_sizes = false;
    const Results results = Fetch({{test.command, test.answer}}, kEverything);
    EXPECT_EQ(Count(results, test.ending), 2u) << test.answer << Summary(options_, results);
    EXPECT_EQ(Example(results, test.ending), test.example);
  }
}

TEST_F(ForeignServerTest, AServerMayHangUpAfterARefusal) {
  options_.wrong_percent = 100;
  const Results results =
      Fetch({{"PASS wrong", "-ERR no\r\n"}, {"QUIT", "-ERR what\r\n"}}, kEverything);
  EXPECT_EQ(results.good(), 2u) << Summary(options_, results);
  EXPECT_EQ(results.refusals, 2u);
  EXPECT_EQ(results.logins, 0u);
}

}  // namespace
}  // namespace postern::load
