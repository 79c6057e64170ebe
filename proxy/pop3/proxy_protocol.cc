#include "proxy/pop3/proxy_protocol.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "proxy/pop3/proxy_protocol_wire.h"

namespace postern::pop3 {
namespace {

using wire::Tlv;

uint16_t ReadU16(absl::string_view bytes, size_t at) {
  return static_cast<uint16_t>((static_cast<unsigned char>(bytes[at]) << 8) |
                               static_cast<unsigned char>(bytes[at + 1]));
}

ProxyRead Bad(absl::string_view reason, std::string* why) {
  *why = std::string(reason);
  return ProxyRead::kBad;
}

// Whether `input` is, as far as it goes, the beginning of `whole`.
bool Begins(absl::string_view input, absl::string_view whole) {
  return absl::StartsWith(whole, input.substr(0, whole.size()));
}

// --- version 1
// ------------------------------------------------------------------------------------

bool IsPort(absl::string_view text, uint16_t* port) {
  const bool digits = !text.empty() && text.size() <= 5 &&
                      text.find_first_not_of("0123456789") == absl::string_view::npos;
  uint32_t value = 0;
  if (!digits || !absl::SimpleAtoi(text, &value) || value > 65535) return false;
  if (text.size() > 1 && text.front() == '0') return false;
  *port = static_cast<uint16_t>(value);
  return true;
}

bool IsEnd(absl::string_view ip, absl::string_view port_text, bool v6, SocketAddress* end) {
  uint16_t port = 0;
  if (!IsPort(port_text, &port)) return false;
  if ((ip.find(':') != absl::string_view::npos) != v6) return false;
  const absl::StatusOr<SocketAddress> address = SocketAddress::FromIp(ip, port);
  if (!address.ok()) return false;
  *end = *address;
  return true;
}

ProxyRead ReadV1(absl::string_view input, ProxyHeader* header, size_t* consumed, std::string* why) {
  const absl::string_view front = input.substr(0, kProxyV1BytesMax);
  const size_t end = front.find('\n');
  if (end == absl::string_view::npos) {
    if (front.size() < kProxyV1BytesMax) return ProxyRead::kNeedMore;
    return Bad("a v1 line of more than 107 octets", why);
  }
  if (front[end - 1] != '\r') return Bad("a v1 line without CRLF", why);
  *consumed = end + 1;
  header->version = 1;
  const absl::string_view line =
      front.substr(wire::kV1Prefix.size(), end - 1 - wire::kV1Prefix.size());
  if (line == "UNKNOWN" || absl::StartsWith(line, "UNKNOWN ")) {
    header->local = true;
    return ProxyRead::kDone;
  }
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  const bool v6 = words[0] == "TCP6";
  if (!v6 && words[0] != "TCP4") return Bad("a v1 line of an unknown family", why);
  if (words.size() != 5) return Bad("a v1 line without its five words", why);
  if (!IsEnd(words[1], words[3], v6, &header->source) ||
      !IsEnd(words[2], words[4], v6, &header->destination)) {
    return Bad("a v1 line with a bad address or port", why);
  }
  return ProxyRead::kDone;
}

// --- version 2
// ------------------------------------------------------------------------------------

SocketAddress AddressV4(absl::string_view bytes, size_t at, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  std::memcpy(&address.sin_addr, bytes.data() + at, 4);
  return SocketAddress(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

SocketAddress AddressV6(absl::string_view bytes, size_t at, uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  std::memcpy(&address.sin6_addr, bytes.data() + at, 16);
  return SocketAddress(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

// Calls take(type, value) for each TLV of `bytes`, until it returns false; false when a length
// points outside.
template <typename Take>
bool EachTlv(absl::string_view bytes, Take take) {
  while (!bytes.empty()) {
    if (bytes.size() < wire::kTlvFrontBytes) return false;
    const size_t size = ReadU16(bytes, 1);
    if (bytes.size() - wire::kTlvFrontBytes < size) return false;
    if (!take(static_cast<Tlv>(bytes[0]), bytes.substr(wire::kTlvFrontBytes, size))) return false;
    bytes.remove_prefix(wire::kTlvFrontBytes + size);
  }
  return true;
}

bool ReadSsl(absl::string_view value, ProxyHeader* header) {
  if (value.size() < wire::kSslFrontBytes) return false;
  const auto flags = static_cast<unsigned char>(value[0]);
  header->ssl = (flags & wire::kSslClient) != 0;
  // Zero says verified, and means nothing without a certificate.
  const bool verified = (flags & (wire::kSslCertificate | wire::kSslCertificateBefore)) != 0 &&
                        value.substr(1, 4) == absl::string_view("\0\0\0\0", 4);
  return EachTlv(value.substr(wire::kSslFrontBytes), [&](Tlv type, absl::string_view text) {
    if (type == Tlv::kSslVersion) header->ssl_version = std::string(text);
    if (type == Tlv::kSslCipher) header->ssl_cipher = std::string(text);
    if (type == Tlv::kSslCommonName && verified) header->ssl_common_name = std::string(text);
    return true;
  });
}

// `whole` is the block from its signature on, `value` the checksum inside it.
bool ChecksumIsRight(absl::string_view whole, absl::string_view value) {
  if (value.size() != 4) return false;
  std::string zeroed(whole);
  const auto at = static_cast<size_t>(value.data() - whole.data());
  std::fill_n(zeroed.begin() + static_cast<std::ptrdiff_t>(at), 4, '\0');
  const uint32_t given = (uint32_t{ReadU16(value, 0)} << 16) | ReadU16(value, 2);
  return Crc32c(zeroed) == given;
}

ProxyRead ReadTlvs(absl::string_view whole, absl::string_view tlvs, ProxyHeader* header,
                   std::string* why) {
  bool checksum_right = true;
  const bool good = EachTlv(tlvs, [&](Tlv type, absl::string_view value) {
    switch (type) {
      case Tlv::kAlpn:
        header->alpn = std::string(value);
        return true;
      case Tlv::kAuthority:
        header->authority = std::string(value);
        return true;
      case Tlv::kUniqueId:
        header->unique_id = std::string(value);
        return value.size() <= wire::kUniqueIdBytesMax;
      case Tlv::kCrc32c:
        checksum_right = checksum_right && ChecksumIsRight(whole, value);
        return true;
      case Tlv::kSsl:
        return ReadSsl(value, header);
      default:
        return true;
    }
  });
  if (!good) return Bad("a v2 header with a TLV of a wrong length", why);
  if (!checksum_right) return Bad("a v2 header with a wrong CRC32C", why);
  return ProxyRead::kDone;
}

ProxyRead ReadV2(absl::string_view input, ProxyHeader* header, size_t* consumed, std::string* why) {
  if (input.size() < wire::kV2FrontBytes) return ProxyRead::kNeedMore;
  const auto command = static_cast<unsigned char>(input[12]);
  const auto family = static_cast<unsigned char>(input[13]);
  if (command != wire::kLocal && command != wire::kProxy) {
    return Bad("a v2 header of an unknown version or command", why);
  }
  const size_t size = wire::kV2FrontBytes + ReadU16(input, 14);
  if (size > kProxyV2BytesMax) return Bad("a v2 header of more than 4096 octets", why);
  if (input.size() < size) return ProxyRead::kNeedMore;
  const absl::string_view whole = input.substr(0, size);
  const absl::string_view rest = whole.substr(wire::kV2FrontBytes);
  *consumed = size;
  header->version = 2;
  size_t address_bytes = 0;
  switch (family) {
    case wire::kTcp4:
      address_bytes = wire::kTcp4Bytes;
      break;
    case wire::kTcp6:
      address_bytes = wire::kTcp6Bytes;
      break;
    case wire::kUnixStream:
      address_bytes = wire::kUnixBytes;
      break;
    case wire::kUnspecified:
      break;
    default:
      if (command == wire::kLocal) break;  // its family means nothing
      return Bad("a v2 header of an unknown family", why);
  }
  if (command == wire::kLocal) {
    header->local = true;
    return ProxyRead::kDone;
  }
  if (rest.size() < address_bytes) return Bad("a v2 header too short for its addresses", why);
  header->local = family == wire::kUnspecified || family == wire::kUnixStream;
  if (header->local) return ProxyRead::kDone;
  if (family == wire::kTcp4) {
    header->source = AddressV4(rest, 0, ReadU16(rest, 8));
    header->destination = AddressV4(rest, 4, ReadU16(rest, 10));
  } else {
    header->source = AddressV6(rest, 0, ReadU16(rest, 32));
    header->destination = AddressV6(rest, 16, ReadU16(rest, 34));
  }
  return ReadTlvs(whole, rest.substr(address_bytes), header, why);
}

}  // namespace

ProxyRead ReadProxyHeader(absl::string_view input, ProxyHeader* header, size_t* consumed,
                          std::string* why) {
  *header = ProxyHeader();
  *consumed = 0;
  if (input.empty()) return ProxyRead::kNeedMore;
  if (Begins(input, wire::kV1Prefix)) {
    if (input.size() < wire::kV1Prefix.size()) return ProxyRead::kNeedMore;
    return ReadV1(input, header, consumed, why);
  }
  if (Begins(input, wire::kV2Signature)) return ReadV2(input, header, consumed, why);
  return Bad("no PROXY header", why);
}

uint32_t Crc32c(absl::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78 : 0);
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF] ^ (crc >> 8);
  }
  return crc ^ 0xFFFFFFFF;
}

}  // namespace postern::pop3
