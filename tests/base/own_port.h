// Ports for servers that a test starts, and starts again.
#ifndef POSTERN_TESTS_BASE_OWN_PORT_H_
#define POSTERN_TESTS_BASE_OWN_PORT_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace postern::testing {

// A lock on a file that tells other tests that the port is taken, also those in Python
// (tests/integration/harness/ports.py); below 0 when another has it. Held until this process ends.
inline int ReservePort(uint16_t port) {
  const char* const temporary = getenv("TMPDIR");
  const std::string directory =
      absl::StrCat(temporary == nullptr ? "/tmp" : temporary, "/postern-test-ports-", getuid());
  mkdir(directory.c_str(), 0755);
  const std::string path = absl::StrCat(directory, "/", port);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  close(fd);
  return -1;
}

// TIME_WAIT of an earlier test is no obstacle; a listener on any address is.
inline bool IsPortUnused(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  const bool good =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 && listen(fd, 1) == 0;
  close(fd);
  return good;
}

// A port that nobody listens on, and that no other test is given while this process lives. It is
// below the kernel's range of ephemeral ports: one from inside it would be taken by anybody's
// outgoing connection when the server is started again, and with SO_REUSEPORT two servers would
// share it without a word.
inline uint16_t FreePort() {
  std::random_device chance;
  std::uniform_int_distribution<int> ports(12000, 31999);
  for (int i = 0; i < 2000; ++i) {
    const uint16_t port = static_cast<uint16_t>(ports(chance));
    const int lock = ReservePort(port);
    if (lock < 0) continue;
    if (IsPortUnused(port)) return port;
    close(lock);
  }
  ADD_FAILURE() << "no free port found";
  return 0;
}

}  // namespace postern::testing

#endif  // POSTERN_TESTS_BASE_OWN_PORT_H_
