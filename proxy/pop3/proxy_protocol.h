// The PROXY protocol, versions 1 and 2 (HAProxy, doc/proxy-protocol.txt), without I/O: the line or
// block in front of a connection by which a load balancer says for whom it speaks.
//
// Reading is strict: what is not exactly a header is no header, and every length is checked before
// a byte behind it is looked at. Fuzzed.
#ifndef POSTERN_PROXY_POP3_PROXY_PROTOCOL_H_
#define POSTERN_PROXY_POP3_PROXY_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "proxy/pop3/client_identity.h"

namespace postern::pop3 {

// A v1 line with its CRLF.
inline constexpr size_t kProxyV1BytesMax = 107;
// A v2 block with its 16 bytes in front. The protocol allows 65551; no sender comes near this.
inline constexpr size_t kProxyV2BytesMax = 4096;

struct ProxyHeader {
  int version = 0;  // 1 or 2
  // Nobody is spoken for: LOCAL (a health check of the sender), UNKNOWN, or ends that have no IP
  // address. The connection's own ends count, and everything below is empty.
  bool local = false;
  SocketAddress source;       // the client
  SocketAddress destination;  // what the client connected to
  // Out of TLVs: peer text, any bytes at all. v2 only.
  std::string authority;  // the name the client asked for (SNI)
  std::string alpn;
  std::string unique_id;
  bool ssl = false;  // the client speaks TLS with the sender
  std::string ssl_version;
  std::string ssl_cipher;
  // The common name of the client's certificate, where the sender has verified it.
  std::string ssl_common_name;
};

enum class ProxyRead { kDone, kNeedMore, kBad };

// Reads the header at the front of `input`. kDone: *consumed bytes were it, and what follows is the
// client's. kNeedMore: nothing is wrong yet. kBad: *why says in a few words what is wrong; it holds
// no peer text. `header` is meaningful after kDone only. A CRC32C that is there must be right.
ProxyRead ReadProxyHeader(absl::string_view input, ProxyHeader* header, size_t* consumed,
                          std::string* why);

// The header that says `identity`, always whole and never more than 536 bytes (the protocol's
// promise: one segment on any path). When the two ends are of different families the IPv4 one is
// written as an IPv6-mapped address; when one has no IP address the header speaks for nobody
// (UNKNOWN, LOCAL).
std::string WriteProxyV1(const ClientIdentity& identity);
// With TLVs: SSL with version and cipher where the client spoke TLS, and the common name of the
// certificate that it proved to have; AUTHORITY for a server_name,
// ALPN for pop3, UNIQUE_ID for a `unique_id`, and CRC32C. server_name must be a DNS name or empty:
// Dovecot drops the connection over any other.
std::string WriteProxyV2(const ClientIdentity& identity, absl::string_view unique_id);
inline constexpr size_t kProxyWrittenBytesMax = 536;

// CRC32C (Castagnoli), as iSCSI and the PROXY protocol use it.
uint32_t Crc32c(absl::string_view bytes);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_PROXY_PROTOCOL_H_
