// The digests that POP3 itself needs.
#ifndef POSTERN_TLS_DIGEST_H_
#define POSTERN_TLS_DIGEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern::tls {

// Lower-case hexadecimal MD5 of `a` followed by `b`: the APOP digest of challenge and secret
// (RFC 1939 section 7). Any thread. Unavailable where the system's OpenSSL allows FIPS only; then
// APOP cannot be offered.
absl::StatusOr<std::string> Md5Hex(absl::string_view a, absl::string_view b);

// Lower-case hexadecimal HMAC-MD5 (RFC 2104): the CRAM-MD5 digest of secret and challenge (RFC
// 2195). The same limits.
absl::StatusOr<std::string> HmacMd5Hex(absl::string_view key, absl::string_view message);

}  // namespace postern::tls

#endif  // POSTERN_TLS_DIGEST_H_
