// Addresses we listen on, connect to and log: IPv4, IPv6 and unix sockets.
#ifndef POSTERN_PROXY_BASE_SOCKET_ADDRESS_H_
#define POSTERN_PROXY_BASE_SOCKET_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern {

// A value: copies are independent. Never a host name; see HostPort for what may need a resolver.
class SocketAddress {
 public:
  SocketAddress() = default;
  // Copies what accept(2) or getsockname(2) gave. A v4-mapped IPv6 address becomes IPv4.
  SocketAddress(const sockaddr* address, socklen_t length);

  // "192.0.2.1:110", "[2001:db8::1]:995", "[::]:995", "*:110" (any IPv4) or "unix:/run/pop3.sock".
  static absl::StatusOr<SocketAddress> Parse(absl::string_view text);
  // An IP literal without brackets, and a port.
  static absl::StatusOr<SocketAddress> FromIp(absl::string_view ip, uint16_t port);

  bool empty() const { return length_ == 0; }
  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  bool is_loopback() const;  // 127.0.0.0/8 or ::1
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }

  // 0 for unix sockets.
  uint16_t port() const;
  void set_port(uint16_t port);
  // "192.0.2.1", "2001:db8::1" or "unix:/path"; "unix:" for an unnamed peer.
  std::string IpText() const;
  // The form Parse() reads.
  std::string ToString() const;

  friend bool operator==(const SocketAddress& a, const SocketAddress& b);

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// "host:port" as an operator writes it, where host may be a name, an IP literal or unix:/path.
struct HostPort {
  std::string host;        // a name or an IP literal without brackets; empty for a unix socket
  uint16_t port = 0;
  std::string unix_path;   // set for "unix:/path" only
  bool srv = false;        // host is the name of SRV records (RFC 2782), which have the ports

  bool is_unix() const { return !unix_path.empty(); }
  // Whether host is an IP literal, so that no resolver is needed.
  bool is_literal() const;
};

// Errors say what is wrong with the text and show a correct example.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_SOCKET_ADDRESS_H_
