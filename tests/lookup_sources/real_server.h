// Debian's own servers, started by a test on a directory, a socket and a port of their own, and
// gone with the test.
#ifndef POSTERN_TESTS_LOOKUP_SOURCES_REAL_SERVER_H_
#define POSTERN_TESTS_LOOKUP_SOURCES_REAL_SERVER_H_

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "routing/lookup/source.h"

namespace postern::routing::testing {

// A directory of its own that `user` owns, removed at the end.
class ServerDirectory {
 public:
  explicit ServerDirectory(const std::string& user);
  ~ServerDirectory();
  ServerDirectory(const ServerDirectory&) = delete;
  ServerDirectory& operator=(const ServerDirectory&) = delete;
  const std::string& path() const { return path_; }
  // A file that `user` owns and only it may read.
  std::string Write(const std::string& name, absl::string_view content) const;

 private:
  const std::string user_;
  std::string path_;
};

// A program that runs to its end; its output, and the test fails when its status is not 0. `user`:
// whose rights it has when we are root, empty for ours.
std::string RunProgram(const std::vector<std::string>& command, const std::string& user,
                       const std::string& input = "");

// Whether the status of a program is 0.
bool Succeeds(const std::vector<std::string>& command, const std::string& user);

class RealServer {
 public:
  // Does not start it. Output goes to `log`.
  RealServer(std::vector<std::string> command, std::string user, std::string log);
  ~RealServer() { Kill(); }
  RealServer(const RealServer&) = delete;
  RealServer& operator=(const RealServer&) = delete;

  // Starts it and waits until `ready` says so.
  void Start(const std::function<bool()>& ready);
  // At once and without a word, like a machine that loses its power.
  void Kill();
  // Stopped and continued, with all its processes: it accepts connections, but says nothing.
  void Freeze() const;
  void Thaw() const;

 private:
  // To all its processes, which it names.
  std::vector<pid_t> Signal(int signal) const;

  const std::vector<std::string> command_;
  const std::string user_;
  const std::string log_;
  pid_t pid_ = -1;
};

// See tests/base/own_port.h.
uint16_t FreePort();
// Whether somebody listens there on 127.0.0.1, or at a socket's path.
bool Listens(uint16_t port);
bool ListensAt(const std::string& path);

// Accepts connections on 127.0.0.1 and answers each with the same bytes, whatever comes; with no
// bytes it stays silent.
class FakeServer {
 public:
  explicit FakeServer(std::string answer);
  ~FakeServer();
  uint16_t port() const { return port_; }
  HostPort address() const;
  // How many it has accepted.
  int connections() const { return connections_; }

 private:
  void Run();
  const std::string answer_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

HostPort Local(uint16_t port);
HostPort UnixSocket(const std::string& path);

// Asks with `patience`, and fails the test when the answer comes much later.
LookupAnswer AskFor(LookupSource* source, const std::string& user,
                    std::chrono::milliseconds patience = std::chrono::seconds(60));

// Names that would break out of a query, filter or key that is glued together.
std::vector<std::string> InjectionAttempts();

}  // namespace postern::routing::testing

#endif  // POSTERN_TESTS_LOOKUP_SOURCES_REAL_SERVER_H_
