// SASL messages as values (RFC 4616 PLAIN; LOGIN is a draft that everybody speaks).
#ifndef POSTERN_PROXY_POP3_SASL_H_
#define POSTERN_PROXY_POP3_SASL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"

namespace postern::pop3 {

// Strict base64 (RFC 4648 section 4): no white space, correct padding. The error never shows the
// text.
absl::StatusOr<Secret> DecodeBase64(absl::string_view text);
std::string EncodeBase64(absl::string_view bytes);

struct PlainMessage {
  std::string authorization_id;  // empty when the client left it out
  std::string user;
  Secret password;
};

// Splits "authzid NUL authcid NUL password". Refuses a missing or extra NUL, control bytes, an
// empty user and an empty password.
absl::StatusOr<PlainMessage> ParsePlain(absl::string_view message);

// The base64 text a client sends for PLAIN.
Secret EncodePlain(absl::string_view authorization_id, absl::string_view user,
                   absl::string_view password);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_SASL_H_
