#include "routing/lookup/byte_stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"

namespace postern::routing {
namespace {

absl::Status ErrnoError(absl::string_view what, int error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(error)));
}

class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(int fd) : fd_(fd) {}
  ~SocketStream() override { close(fd_); }

  absl::Status Write(absl::string_view bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno == EAGAIN) {
        if (WaitFor(fd_, POLLOUT, deadline) == 0) {
          return absl::DeadlineExceededError("the server takes nothing");
        }
      } else if (errno != EINTR) {
        return ErrnoError("the connection broke", errno);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(char* to, size_t size, Deadline deadline) override {
    while (true) {
      const ssize_t got = recv(fd_, to, size, MSG_DONTWAIT);
      if (got > 0) return static_cast<size_t>(got);
      if (got == 0) return absl::UnavailableError("the server closed the connection");
      if (errno == EAGAIN) {
        if (WaitFor(fd_, POLLIN, deadline) == 0) {
          return absl::DeadlineExceededError("no answer in time");
        }
      } else if (errno != EINTR) {
        return ErrnoError("the connection broke", errno);
      }
    }
  }

 private:
  const int fd_;
};

absl::StatusOr<int> ConnectTo(const SocketAddress& address, Deadline deadline) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoError("no socket", errno);
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  if (connect(fd, address.data(), address.length()) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) {
      return ErrnoError(absl::StrCat("cannot connect to ", address.ToString()), errno);
    }
    if (WaitFor(fd, POLLOUT, deadline) == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("cannot connect to ", address.ToString(), " in time"));
    }
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      return ErrnoError(absl::StrCat("cannot connect to ", address.ToString()), error);
    }
  }
  if (!address.is_unix()) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  }
  std::move(closer).Cancel();
  return fd;
}

absl::StatusOr<std::vector<SocketAddress>> AddressesOf(const HostPort& server) {
  std::vector<SocketAddress> addresses;
  if (server.is_unix()) {
    ASSIGN_OR_RETURN(const SocketAddress address,
                     SocketAddress::Parse(absl::StrCat("unix:", server.unix_path)));
    addresses.push_back(address);
    return addresses;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int result = getaddrinfo(server.host.c_str(), nullptr, &hints, &list);
  if (result != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot resolve ", server.host, ": ", gai_strerror(result)));
  }
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    addresses.emplace_back(entry->ai_addr, entry->ai_addrlen).set_port(server.port);
  }
  freeaddrinfo(list);
  return addresses;
}

}  // namespace

absl::StatusOr<int> ConnectSocket(const HostPort& server, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::vector<SocketAddress> addresses, AddressesOf(server));
  absl::Status status = absl::UnavailableError(absl::StrCat(server.host, " has no address"));
  for (size_t i = 0; i < addresses.size() && !Passed(deadline); ++i) {
    const auto now = std::chrono::steady_clock::now();
    const Deadline share = now + (deadline - now) / static_cast<int>(addresses.size() - i);
    const auto fd = ConnectTo(addresses[i], share);
    if (fd.ok()) return fd;
    status = fd.status();
  }
  return status;
}

absl::StatusOr<std::unique_ptr<ByteStream>> ConnectStream(const HostPort& server,
                                                          Deadline deadline) {
  ASSIGN_OR_RETURN(const int fd, ConnectSocket(server, deadline));
  return std::unique_ptr<ByteStream>(std::make_unique<SocketStream>(fd));
}

}  // namespace postern::routing
