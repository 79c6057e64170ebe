#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/pop3/proxy_protocol.h"
#include "proxy/pop3/proxy_protocol_wire.h"

namespace postern::pop3 {
namespace {

using wire::Tlv;

// A longer version or cipher than any there is came from a neighbour and says nothing.
constexpr size_t kTlsTextBytesMax = 64;

void AppendU16(size_t value, std::string* out) {
  *out += static_cast<char>((value >> 8) & 0xFF);
  *out += static_cast<char>(value & 0xFF);
}

void AppendTlv(Tlv type, absl::string_view value, std::string* out) {
  *out += static_cast<char>(type);
  AppendU16(value.size(), out);
  absl::StrAppend(out, value);
}

bool HasIp(const SocketAddress& address) {
  return address.family() == AF_INET || address.family() == AF_INET6;
}

// The address alone, in network order; an IPv4 one as ::ffff:a.b.c.d where `v6` is wanted.
std::string IpBytes(const SocketAddress& address, bool v6) {
  if (address.family() == AF_INET6) {
    const auto& ip = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
    return std::string(reinterpret_cast<const char*>(&ip), sizeof(ip));
  }
  std::string bytes;
  if (v6) {
    bytes.assign(10, '\0');
    bytes += "\xFF\xFF";
  }
  const auto& ip = reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr;
  return bytes.append(reinterpret_cast<const char*>(&ip), sizeof(ip));
}

std::string IpText(const SocketAddress& address, bool v6) {
  if (v6 && address.family() == AF_INET) return absl::StrCat("::ffff:", address.IpText());
  return address.IpText();
}

std::string SslValue(const ClientIdentity& identity) {
  std::string value;
  // A name that was cut would be another's.
  const absl::string_view name = identity.certificate_name;
  const bool certified = !name.empty() && name.size() <= kTlsTextBytesMax;
  value += static_cast<char>(wire::kSslClient | (certified ? wire::kSslCertificate : 0));
  // Zero: a client certificate was verified.
  value.append(certified ? "\0\0\0\0" : "\0\0\0\1", 4);
  AppendTlv(Tlv::kSslVersion, identity.tls_version.substr(0, kTlsTextBytesMax), &value);
  if (!identity.tls_cipher.empty()) {
    AppendTlv(Tlv::kSslCipher, identity.tls_cipher.substr(0, kTlsTextBytesMax), &value);
  }
  if (certified) AppendTlv(Tlv::kSslCommonName, name, &value);
  return value;
}

// What stands behind the addresses, the checksum last and zero.
std::string Tlvs(const ClientIdentity& identity, absl::string_view unique_id) {
  std::string tlvs;
  if (identity.tls) AppendTlv(Tlv::kSsl, SslValue(identity), &tlvs);
  if (identity.alpn_pop3) AppendTlv(Tlv::kAlpn, "pop3", &tlvs);
  if (!identity.server_name.empty()) AppendTlv(Tlv::kAuthority, identity.server_name, &tlvs);
  if (!unique_id.empty()) {
    AppendTlv(Tlv::kUniqueId, unique_id.substr(0, wire::kUniqueIdBytesMax), &tlvs);
  }
  AppendTlv(Tlv::kCrc32c, absl::string_view("\0\0\0\0", 4), &tlvs);
  return tlvs;
}

}  // namespace

std::string WriteProxyV1(const ClientIdentity& identity) {
  if (!HasIp(identity.client) || !HasIp(identity.destination)) return "PROXY UNKNOWN\r\n";
  const bool v6 = identity.client.family() == AF_INET6 || identity.destination.family() == AF_INET6;
  std::string line =
      absl::StrCat(wire::kV1Prefix, v6 ? "TCP6 " : "TCP4 ", IpText(identity.client, v6), " ",
                   IpText(identity.destination, v6), " ", identity.client.port(), " ",
                   identity.destination.port(), "\r\n");
  CHECK(line.size() <= kProxyV1BytesMax);
  return line;
}

std::string WriteProxyV2(const ClientIdentity& identity, absl::string_view unique_id) {
  std::string block(wire::kV2Signature);
  if (!HasIp(identity.client) || !HasIp(identity.destination)) {
    block += static_cast<char>(wire::kLocal);
    block += static_cast<char>(wire::kUnspecified);
    AppendU16(0, &block);
    return block;
  }
  const bool v6 = identity.client.family() == AF_INET6 || identity.destination.family() == AF_INET6;
  std::string rest = absl::StrCat(IpBytes(identity.client, v6), IpBytes(identity.destination, v6));
  AppendU16(identity.client.port(), &rest);
  AppendU16(identity.destination.port(), &rest);
  rest += Tlvs(identity, unique_id);
  block += static_cast<char>(wire::kProxy);
  block += static_cast<char>(v6 ? wire::kTcp6 : wire::kTcp4);
  AppendU16(rest.size(), &block);
  block += rest;
  const uint32_t sum = htonl(Crc32c(block));
  std::memcpy(&block[block.size() - sizeof(sum)], &sum, sizeof(sum));
  // 52 bytes with IPv6 addresses; SSL at most 209, ALPN 7, AUTHORITY 256, UNIQUE_ID 131, CRC32C 7:
  // too many only when a neighbour's names are all of the greatest length, and then the last hop's
  // own id is the one to do without.
  if (block.size() > kProxyWrittenBytesMax) return WriteProxyV2(identity, "");
  return block;
}

}  // namespace postern::pop3
