// The digests that POP3 itself needs.
#ifndef POSTERN_TLS_DIGEST_H_
#define POSTERN_TLS_DIGEST_H_

#include <array>
#include <initializer_list>
#include <memory>
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

// SHA-256 (FIPS 180-4) of the parts, one behind the other. Any thread.
std::array<char, 32> Sha256(std::initializer_list<absl::string_view> parts);

// HMAC-SHA256 (RFC 2104, FIPS 180-4) under a random key of its own: tells equal messages, and
// nobody who lacks the key can make two that look equal. Any thread.
class RandomKeyedDigest {
 public:
  RandomKeyedDigest();
  ~RandomKeyedDigest();
  RandomKeyedDigest(const RandomKeyedDigest&) = delete;
  RandomKeyedDigest& operator=(const RandomKeyedDigest&) = delete;

  std::array<char, 32> Digest(absl::string_view message) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_DIGEST_H_
