#include "bench/maildrop/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/socket_address.h"

namespace postern::maildrop {
namespace {

constexpr absl::string_view kPrefix1 = "PROXY ";
constexpr size_t kLineBytesMax = 107;
constexpr absl::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixedBytes2 = 16;

size_t Number16(absl::string_view bytes) {
  return static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 8 | static_cast<uint8_t>(bytes[1]);
}

bool SetAddress(int family, absl::string_view text, absl::string_view key, ClientFacts* facts) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::FromIp(text, 0);
  if (!address.ok() || address->family() != family) return false;
  facts->Set(key, text);
  return true;
}

bool SetPort(absl::string_view text, absl::string_view key, ClientFacts* facts) {
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text, &port) || port > UINT16_MAX) return false;
  facts->Set(key, absl::StrCat(port));
  return true;
}

ProxyHeader ReadVersion1(absl::string_view input, size_t* bytes, ClientFacts* facts) {
  const size_t end = input.substr(0, kLineBytesMax).find("\r\n");
  if (end == input.npos) {
    return input.size() < kLineBytesMax ? ProxyHeader::kMore : ProxyHeader::kBad;
  }
  *bytes = end + 2;
  const absl::string_view line = input.substr(0, end);
  if (line == "PROXY UNKNOWN" || absl::StartsWith(line, "PROXY UNKNOWN ")) {
    return ProxyHeader::kDone;
  }
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6")) return ProxyHeader::kBad;
  const int family = words[1] == "TCP4" ? AF_INET : AF_INET6;
  const bool good =
      SetAddress(family, words[2], "addr", facts) && SetPort(words[4], "port", facts) &&
      SetAddress(family, words[3], "destaddr", facts) && SetPort(words[5], "destport", facts);
  return good ? ProxyHeader::kDone : ProxyHeader::kBad;
}

// Calls `use(type, value)` for each; false when they do not fill `bytes` exactly.
template <typename Use>
bool ForEachTlv(absl::string_view bytes, Use use) {
  while (!bytes.empty()) {
    if (bytes.size() < 3) return false;
    const size_t size = Number16(bytes.substr(1));
    if (bytes.size() - 3 < size) return false;
    if (!use(static_cast<uint8_t>(bytes[0]), bytes.substr(3, size))) return false;
    bytes.remove_prefix(3 + size);
  }
  return true;
}

bool UseTlsTlv(uint8_t type, absl::string_view value, ClientFacts* facts) {
  if (type == 0x21) facts->Set("tls", value);
  if (type == 0x22) facts->Set("cn", value);
  if (type == 0x23) facts->Set("cipher", value);
  return true;
}

bool UseTlv(uint8_t type, absl::string_view value, ClientFacts* facts) {
  if (type == 0x01) facts->Set("alpn", value);
  if (type == 0x02) facts->Set("destname", value);
  if (type == 0x05) facts->Set("session", value);
  if (type != 0x20) return true;
  // Flags of the client, a 32-bit verdict, then what is inside.
  if (value.size() < 5) return false;
  return ForEachTlv(value.substr(5), [facts](uint8_t inner, absl::string_view inner_value) {
    return UseTlsTlv(inner, inner_value, facts);
  });
}

void SetEnds(int family, absl::string_view block, ClientFacts* facts) {
  const size_t size = family == AF_INET ? 4 : 16;
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(family, block.data(), text, sizeof(text));
  facts->Set("addr", text);
  facts->Set("port", absl::StrCat(Number16(block.substr(2 * size))));
  inet_ntop(family, block.data() + size, text, sizeof(text));
  facts->Set("destaddr", text);
  facts->Set("destport", absl::StrCat(Number16(block.substr(2 * size + 2))));
}

ProxyHeader ReadVersion2(absl::string_view input, size_t* bytes, ClientFacts* facts) {
  if (input.size() < kFixedBytes2) return ProxyHeader::kMore;
  const size_t size = kFixedBytes2 + Number16(input.substr(14));
  const auto command = static_cast<uint8_t>(input[12]);
  const auto family = static_cast<uint8_t>(input[13]);
  if (size > kProxyHeaderBytesMax || (command != 0x20 && command != 0x21)) {
    return ProxyHeader::kBad;
  }
  if (input.size() < size) return ProxyHeader::kMore;
  *bytes = size;
  const absl::string_view block = input.substr(kFixedBytes2, size - kFixedBytes2);
  // LOCAL is a health check, and a family we do not know tells nothing we could show.
  const size_t ends = family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 216 : 0;
  if (command == 0x20 || ends == 0) return ProxyHeader::kDone;
  if (block.size() < ends) return ProxyHeader::kBad;
  if (family != 0x31) SetEnds(family == 0x11 ? AF_INET : AF_INET6, block, facts);
  const bool good = ForEachTlv(block.substr(ends), [facts](uint8_t type, absl::string_view value) {
    return UseTlv(type, value, facts);
  });
  return good ? ProxyHeader::kDone : ProxyHeader::kBad;
}

bool MayBegin(absl::string_view input, absl::string_view prefix) {
  const size_t size = std::min(input.size(), prefix.size());
  return input.substr(0, size) == prefix.substr(0, size);
}

}  // namespace

ProxyHeader ReadProxyHeader(absl::string_view input, size_t* bytes, ClientFacts* facts) {
  *bytes = 0;
  if (input.empty()) return ProxyHeader::kMore;
  if (MayBegin(input, kPrefix1)) {
    return input.size() < kPrefix1.size() ? ProxyHeader::kMore : ReadVersion1(input, bytes, facts);
  }
  if (MayBegin(input, kSignature2)) return ReadVersion2(input, bytes, facts);
  return ProxyHeader::kBad;
}

}  // namespace postern::maildrop
