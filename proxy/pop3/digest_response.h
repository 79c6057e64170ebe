// The client's message of DIGEST-MD5 (RFC 2831 section 2.1.2), as far as a proxy must read it
// before it can ask for the user's secret. Whether the digest is right is not judged here. No I/O;
// fuzzed.
#ifndef POSTERN_PROXY_POP3_DIGEST_RESPONSE_H_
#define POSTERN_PROXY_POP3_DIGEST_RESPONSE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

// RFC 2831 section 2.1.2: the whole message is less than 4096 bytes.
inline constexpr size_t kDigestResponseBytesMax = 4095;

struct DigestResponse {
  std::string user;
  std::string authorization_id;  // empty when the client left it out
  std::string realm;
};

// Nothing, unless the message is well-formed, has each directive once and those that must be there,
// holds no control byte (RFC 2831 lets lines be folded; nobody does so), is for a POP3 server
// (digest-uri "pop/..."), and wants authentication only (qop "auth"). A name with bytes above 0x7F
// must be said to be UTF-8: it would be another one in ISO 8859-1.
std::optional<DigestResponse> ReadDigestResponse(absl::string_view message);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_DIGEST_RESPONSE_H_
