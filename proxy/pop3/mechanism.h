// The SASL mechanisms a client may be offered.
#ifndef POSTERN_PROXY_POP3_MECHANISM_H_
#define POSTERN_PROXY_POP3_MECHANISM_H_

#include <array>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

enum class Mechanism {
  kPlain,
  kLogin,
  kScramSha1,
  kScramSha256,
  kXoauth2,
  kOauthbearer,
  kCramMd5,
  kExternal,
  kDigestMd5,
};

struct MechanismInfo {
  absl::string_view name;    // as SASL knows it
  absl::string_view word;    // in the configuration
  absl::string_view method;  // in the log
  // The exchange goes on between the client and the backend, and we learn no password: only
  // backends with login = "sasl" can take it.
  bool carried;
};

// In the order of the enum.
inline constexpr std::array<MechanismInfo, 9> kMechanisms = {{
    {"PLAIN", "plain", "auth_plain", false},
    {"LOGIN", "login", "auth_login", false},
    {"SCRAM-SHA-1", "scram-sha-1", "auth_scram_sha_1", true},
    {"SCRAM-SHA-256", "scram-sha-256", "auth_scram_sha_256", true},
    {"XOAUTH2", "xoauth2", "auth_xoauth2", true},
    {"OAUTHBEARER", "oauthbearer", "auth_oauthbearer", true},
    // Verified here against our own secrets, like APOP.
    {"CRAM-MD5", "cram-md5", "auth_cram_md5", false},
    // The client's certificate says who it is (RFC 4422 appendix A).
    {"EXTERNAL", "external", "auth_external", false},
    // Like CRAM-MD5 (RFC 2831; historic by RFC 6331).
    {"DIGEST-MD5", "digest-md5", "auth_digest_md5", false},
}};

constexpr const MechanismInfo& InfoOf(Mechanism mechanism) {
  return kMechanisms[static_cast<size_t>(mechanism)];
}

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_MECHANISM_H_
