#include "proxy/base/ip_network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"

namespace postern {
namespace {

bool IsPrefixLength(absl::string_view text, int max, int* bits) {
  const bool digits =
      !text.empty() && text.size() <= 3 && std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isdigit(static_cast<unsigned char>(c));
      });
  return digits && absl::SimpleAtoi(text, bits) && *bits <= max;
}

}  // namespace

size_t CopyAddress(const SocketAddress& address, std::array<uint8_t, 16>* bytes) {
  switch (address.family()) {
    case AF_INET6:
      std::memcpy(bytes->data(), &reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr,
                  16);
      return 16;
    case AF_INET:
      std::memcpy(bytes->data(), &reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr,
                  4);
      return 4;
    default:
      return 0;
  }
}

void MaskAddress(int prefix_bits, std::array<uint8_t, 16>* bytes) {
  for (int i = 0; i < 16; ++i) {
    const int bits = std::clamp(prefix_bits - 8 * i, 0, 8);
    (*bytes)[static_cast<size_t>(i)] &= static_cast<uint8_t>(0xFF00 >> bits);
  }
}

absl::StatusOr<IpNetwork> IpNetwork::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::FromIp(text.substr(0, slash), 0));
  IpNetwork network;
  // "::ffff:10.0.0.0/104" is what nobody means; the mapped address has become IPv4 by now.
  network.is_v6_ = address.family() == AF_INET6;
  const int bits_max = network.is_v6_ ? 128 : 32;
  network.prefix_bits_ = bits_max;
  if (slash != absl::string_view::npos &&
      !IsPrefixLength(text.substr(slash + 1), bits_max, &network.prefix_bits_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" has no prefix length between 0 and ", bits_max));
  }
  std::array<uint8_t, 16> given{};
  CopyAddress(address, &given);
  network.bytes_ = given;
  MaskAddress(network.prefix_bits_, &network.bytes_);
  if (network.bytes_ != given) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" has bits behind its prefix of ",
                                                   network.prefix_bits_, ": the network is \"",
                                                   network.ToString(), "\""));
  }
  return network;
}

bool IpNetwork::Contains(const SocketAddress& address) const {
  if (address.family() != (is_v6_ ? AF_INET6 : AF_INET)) return false;
  std::array<uint8_t, 16> bytes{};
  CopyAddress(address, &bytes);
  MaskAddress(prefix_bits_, &bytes);
  return bytes == bytes_;
}

std::string IpNetwork::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(is_v6_ ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof(text));
  return absl::StrCat(text, "/", prefix_bits_);
}

bool ContainsAddress(const std::vector<IpNetwork>& networks, const SocketAddress& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&address](const IpNetwork& network) { return network.Contains(address); });
}

}  // namespace postern
