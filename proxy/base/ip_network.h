// A block of addresses, as an operator writes it: "10.0.0.0/8", "2001:db8::/32", "192.0.2.1".
#ifndef POSTERN_PROXY_BASE_IP_NETWORK_H_
#define POSTERN_PROXY_BASE_IP_NETWORK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"

namespace postern {

// A value. IPv4 and IPv6 are two worlds; an IPv4 client that came in as ::ffff:a.b.c.d is IPv4,
// because SocketAddress makes it so.
class IpNetwork {
 public:
  // An address with or without a prefix length. Bits behind the prefix must be zero. Errors say
  // what is wrong with the text and show the right one.
  static absl::StatusOr<IpNetwork> Parse(absl::string_view text);

  bool Contains(const SocketAddress& address) const;
  bool is_v6() const { return is_v6_; }
  // In network order, the first 4 for IPv4; zero behind the prefix.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  int prefix_bits() const { return prefix_bits_; }
  // "10.0.0.0/8", always with the prefix length.
  std::string ToString() const;

 private:
  bool is_v6_ = false;
  std::array<uint8_t, 16> bytes_{};  // the first 4 for IPv4
  int prefix_bits_ = 0;
};

// The bytes of an address in network order: 4 or 16 of them, or 0 for what is no IP address.
size_t CopyAddress(const SocketAddress& address, std::array<uint8_t, 16>* bytes);
// Sets all bits behind the first `prefix_bits` to zero.
void MaskAddress(int prefix_bits, std::array<uint8_t, 16>* bytes);

bool ContainsAddress(const std::vector<IpNetwork>& networks, const SocketAddress& address);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_IP_NETWORK_H_
