#include "proxy/base/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/status_macros.h"

namespace postern {
namespace {

absl::StatusOr<uint16_t> ParsePort(absl::string_view text, absl::string_view whole) {
  uint32_t port = 0;
  if (text.empty() || !absl::SimpleAtoi(text, &port) || port > 65535 || text[0] == '+') {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", whole, "\" has no port between 0 and 65535"));
  }
  return static_cast<uint16_t>(port);
}

bool IsIpLiteral(const std::string& text) {
  in6_addr ignored{};
  return inet_pton(AF_INET, text.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t length) {
  length_ = std::min<socklen_t>(length, sizeof(storage_));
  std::memcpy(&storage_, address, length_);
  if (address->sa_family != AF_INET6) return;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  if (!IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) return;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = v6->sin6_port;
  std::memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
  storage_ = {};
  std::memcpy(&storage_, &v4, sizeof(v4));
  length_ = sizeof(v4);
}

absl::StatusOr<SocketAddress> SocketAddress::FromIp(absl::string_view ip, uint16_t port) {
  const std::string text(ip);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return SocketAddress(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return SocketAddress(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", ip, "\" is not an IP address"));
}

absl::StatusOr<SocketAddress> SocketAddress::Parse(absl::string_view text) {
  ASSIGN_OR_RETURN(HostPort parsed, ParseHostPort(text));
  if (parsed.is_unix()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, parsed.unix_path.data(), parsed.unix_path.size());
    const size_t length = offsetof(sockaddr_un, sun_path) + parsed.unix_path.size() + 1;
    return SocketAddress(reinterpret_cast<const sockaddr*>(&address),
                         static_cast<socklen_t>(length));
  }
  if (parsed.host == "*") parsed.host = "0.0.0.0";
  return FromIp(parsed.host, parsed.port);
}

bool SocketAddress::is_loopback() const {
  if (family() == AF_INET) {
    sockaddr_in in{};
    memcpy(&in, data(), sizeof(in));
    return (ntohl(in.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
  }
  if (family() != AF_INET6) return false;
  sockaddr_in6 in6{};
  memcpy(&in6, data(), sizeof(in6));
  return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) != 0;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  }
  return 0;
}

void SocketAddress::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
}

std::string SocketAddress::IpText() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text,
              sizeof(text));
    return text;
  }
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, text,
              sizeof(text));
    return text;
  }
  if (family() == AF_UNIX && length_ > offsetof(sockaddr_un, sun_path)) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
    const size_t room = length_ - offsetof(sockaddr_un, sun_path);
    return absl::StrCat("unix:", absl::string_view(un->sun_path, strnlen(un->sun_path, room)));
  }
  return family() == AF_UNIX ? "unix:" : "";
}

std::string SocketAddress::ToString() const {
  if (family() == AF_INET) return absl::StrCat(IpText(), ":", port());
  if (family() == AF_INET6) return absl::StrCat("[", IpText(), "]:", port());
  return IpText();
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  return a.length_ == b.length_ && std::memcmp(&a.storage_, &b.storage_, a.length_) == 0;
}

bool HostPort::is_literal() const { return IsIpLiteral(host); }

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  HostPort result;
  if (absl::ConsumePrefix(&text, "unix:")) {
    if (text.empty() || text[0] != '/' || text.size() >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"unix:", text, "\" is not an absolute path of at most ",
                       sizeof(sockaddr_un::sun_path) - 1, " characters"));
    }
    result.unix_path = std::string(text);
    return result;
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is not host:port, for example 192.0.2.1:110, "
                     "[2001:db8::1]:995 or mail1.example.net:995"));
  }
  ASSIGN_OR_RETURN(result.port, ParsePort(text.substr(colon + 1), text));
  absl::string_view host = text.substr(0, colon);
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) {
    host = host.substr(1, host.size() - 2);
    result.host = std::string(host);
    in6_addr ignored{};
    if (inet_pton(AF_INET6, result.host.c_str(), &ignored) != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\": \"", host, "\" is not an IPv6 address"));
    }
    return result;
  }
  if (host.empty() || host.find_first_of(":[]/ \t") != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is not host:port; write an IPv6 address in brackets, for "
                     "example [2001:db8::1]:995"));
  }
  result.host = std::string(host);
  return result;
}

}  // namespace postern
