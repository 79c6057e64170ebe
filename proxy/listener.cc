#include "proxy/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/io/socket_calls.h"

namespace postern {
namespace {

constexpr DurationNs kRetryDelay = 100 * kMillisecond;

absl::Status BindError(const SocketAddress& address, const char* step, int error) {
  std::string mend;
  if (error == EADDRINUSE) mend = "; another program listens there (ss -ltnp shows which)";
  if (error == EACCES) {
    mend = "; ports below 1024 need CAP_NET_BIND_SERVICE (or a socket from systemd)";
  }
  if (error == EADDRNOTAVAIL) mend = "; this machine has no such address";
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address.ToString(), ": ",
                                                    step, ": ", std::strerror(error), mend));
}

}  // namespace

absl::StatusOr<int> OpenListeningSocket(const SocketAddress& address, bool v6only, int backlog) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return BindError(address, "socket", errno);
  const int on = 1;
  const auto fail = [&](const char* step) {
    const int error = errno;
    close(fd);
    return BindError(address, step, error);
  };
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
    return fail("SO_REUSEPORT");
  }
  // Inherited by every accepted socket: no system call per connection.
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) return fail("TCP_NODELAY");
  if (!io::EnableKeepalive(fd)) return fail("SO_KEEPALIVE");
  if (address.family() == AF_INET6) {
    const int only = v6only ? 1 : 0;
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) != 0) {
      return fail("IPV6_V6ONLY");
    }
  }
  if (bind(fd, address.data(), address.length()) != 0) return fail("bind");
  if (listen(fd, backlog) != 0) return fail("listen");
  return fd;
}

absl::Status CheckUnused(const SocketAddress& address, bool v6only, DurationNs patience) {
  const TimeNs deadline = MonotonicNow() + patience;
  for (;;) {
    const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return BindError(address, "socket", errno);
    const int on = 1;
    const int only = v6only ? 1 : 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.family() == AF_INET6) {
      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    }
    const int error = bind(fd, address.data(), address.length()) == 0 ? 0 : errno;
    close(fd);
    if (error == 0) return absl::OkStatus();
    if (error != EADDRINUSE || MonotonicNow() >= deadline) return BindError(address, "bind", error);
    usleep(50'000);
  }
}

Listener::Listener(io::Io* io, ListenerOwner* owner, std::string address, size_t index, int fd)
    : io_(io),
      owner_(owner),
      address_(std::move(address)),
      index_(index),
      fd_(fd),
      accept_(&Listener::OnAccept, this),
      retry_(&Listener::OnRetry, this) {}

Listener::~Listener() { CHECK(fd_ < 0); }

void Listener::Start() { io_->Accept(fd_, &accept_); }

void Listener::Stop() {
  if (stopping_) return;
  stopping_ = true;
  io_->timers().Disarm(&retry_);
  if (accept_.in_flight()) {
    io_->Cancel(&accept_);
  } else {
    Finish();
  }
}

void Listener::OnAccept(io::IoOp& op, void* owner) {
  auto* listener = static_cast<Listener*>(owner);
  const int result = op.result();
  // A connection that was accepted while we were stopping is still a client's.
  if (result >= 0) listener->owner_->OnAccepted(listener, result);
  if (op.in_flight()) return;
  if (listener->stopping_) return listener->Finish();
  if (result >= 0) return listener->Start();
  listener->owner_->OnAcceptError(listener, result);
  listener->io_->timers().Arm(&listener->retry_, listener->io_->Now() + kRetryDelay);
}

void Listener::OnRetry(io::Timer&, void* owner) { static_cast<Listener*>(owner)->Start(); }

void Listener::Finish() {
  io_->Close(std::exchange(fd_, -1));
  owner_->OnListenerStopped(this);
}

}  // namespace postern
