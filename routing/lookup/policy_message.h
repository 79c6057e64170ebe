// What a policy service is asked and told of logins, and what it answers, in the JSON of Dovecot's
// auth_policy, which weakforced and others speak: values and bytes, no socket. Fuzzed.
//
//   POST URL?command=allow    before a login is judged; answer {"status": 0, "msg": ""}
//   POST URL?command=report   behind the verdict, with "success"; the answer does not matter
//
// https://doc.dovecot.org/2.3/configuration_manual/authentication/auth_policy/ has the protocol;
// Dovecot 2.3's source has the details.
#ifndef POSTERN_ROUTING_LOOKUP_POLICY_MESSAGE_H_
#define POSTERN_ROUTING_LOOKUP_POLICY_MESSAGE_H_

#include <array>
#include <string>

#include "absl/strings/string_view.h"
#include "routing/lookup/source.h"

namespace postern::routing {

// The values of LookupQuestion::method.
inline constexpr absl::string_view kPolicyAllow = "allow";
inline constexpr absl::string_view kPolicyReport = "report";

// An answer has a few dozen bytes.
inline constexpr size_t kPolicyReplyBytesMax = 16384;

// One login, as the service hears of it.
struct PolicyLogin {
  absl::string_view user;           // normalised
  absl::string_view password_hash;  // of PolicyPasswordHash()
  absl::string_view client;         // an address without a port
  absl::string_view session;
  bool tls = false;
};

enum class PolicyOutcome {
  kAccepted,
  kRefused,   // the credentials are wrong
  kRejected,  // by the policy service
};

// JSON. What is no UTF-8 in a name is replaced by U+FFFD, as Dovecot does since 2.3.5.2.
std::string PolicyAllowMessage(const PolicyLogin& login);
std::string PolicyReportMessage(const PolicyLogin& login, PolicyOutcome outcome);

// `url` with the command in its query: behind "?", or behind what stands there.
std::string PolicyUrl(absl::string_view url, absl::string_view command);

// `digest` is SHA-256 over the nonce, the user, a byte 0 and the password; of it the first `bits`
// bits, 1 to 255, or all for 0, moved to the right end of as many whole bytes, in lower-case
// hexadecimal: as Dovecot does with auth_policy_hash_truncate, so that the proxy and servers behind
// it speak of the same password by the same word. With few bits many passwords have it, so that
// none can be found out, and yet trying many shows.
std::string PolicyPasswordHash(const std::array<char, 32>& digest, int bits);

// The answer to `allow`: kFound lets the login go on, after `wait` if there is one; kForbidden
// refuses it; kTemporary: no answer of this kind. `detail` has the service's own words, printable.
LookupAnswer ReadPolicyReply(absl::string_view body);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_POLICY_MESSAGE_H_
