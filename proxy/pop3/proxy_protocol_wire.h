// The numbers of the PROXY protocol (HAProxy, doc/proxy-protocol.txt), for its reader and its
// writer.
#ifndef POSTERN_PROXY_POP3_PROXY_PROTOCOL_WIRE_H_
#define POSTERN_PROXY_POP3_PROXY_PROTOCOL_WIRE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::pop3::wire {

inline constexpr absl::string_view kV1Prefix = "PROXY ";
inline constexpr absl::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
// Signature, version and command, family, length.
inline constexpr size_t kV2FrontBytes = 16;

inline constexpr uint8_t kLocal = 0x20;
inline constexpr uint8_t kProxy = 0x21;

inline constexpr uint8_t kUnspecified = 0x00;
inline constexpr uint8_t kTcp4 = 0x11;
inline constexpr uint8_t kTcp6 = 0x21;
inline constexpr uint8_t kUnixStream = 0x31;
inline constexpr size_t kTcp4Bytes = 12;
inline constexpr size_t kTcp6Bytes = 36;
inline constexpr size_t kUnixBytes = 216;

enum class Tlv : uint8_t {
  kAlpn = 0x01,
  kAuthority = 0x02,
  kCrc32c = 0x03,
  kUniqueId = 0x05,
  kSsl = 0x20,
  // inside kSsl
  kSslVersion = 0x21,
  kSslCommonName = 0x22,
  kSslCipher = 0x23,
};
inline constexpr size_t kTlvFrontBytes = 3;  // type and length
inline constexpr size_t kSslFrontBytes = 5;  // flags and the result of the verification
inline constexpr uint8_t kSslClient = 0x01;
inline constexpr uint8_t kSslCertificate = 0x02;        // shown in this connection
inline constexpr uint8_t kSslCertificateBefore = 0x04;  // in the session that it resumed
inline constexpr size_t kUniqueIdBytesMax = 128;

}  // namespace postern::pop3::wire

#endif  // POSTERN_PROXY_POP3_PROXY_PROTOCOL_WIRE_H_
