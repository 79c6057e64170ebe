// What nginx's mail proxy asks an authentication service (its auth_http), and what the service
// answers: bytes and values, no socket. Fuzzed.
//
// https://nginx.org/en/docs/mail/ngx_mail_auth_http_module.html has the protocol; where the two
// differ, nginx 1.22's own behaviour counts, because services were written against it.
#ifndef POSTERN_ROUTING_LOOKUP_AUTH_HTTP_MESSAGE_H_
#define POSTERN_ROUTING_LOOKUP_AUTH_HTTP_MESSAGE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "routing/lookup/source.h"

namespace postern::routing {

// A reply's header block may be this long; nginx takes 1024 bytes.
inline constexpr size_t kAuthHttpReplyBytesMax = 65536;

// Every byte up to 0x20 and '%' become %XX, everything else stays, as nginx escapes Auth-User and
// Auth-Pass.
std::string EscapeAuthHttp(absl::string_view text);

struct AuthHttpExtras {
  std::vector<std::pair<std::string, std::string>> headers;  // the operator's own: name, value
  bool client_certificate = false;                           // the whole of it, if there is one
};

// The lines of a request behind Host, in nginx's order, each without its line end. They hold the
// password. InvalidArgument when a value that is not escaped has a control byte: never sent.
absl::Status AuthHttpRequest(const LookupQuestion& question, const AuthHttpExtras& extras,
                             std::vector<Secret>* lines);

struct AuthHttpRules {
  // nginx never looks at the status code. With `strict`, 401 and 403 refuse, 404 is an unknown
  // user, and whatever else is not 2xx means that the service is not well.
  bool strict = false;
  // Auth-User and Auth-Pass of the reply are %-encoded (nginx takes them as they are).
  bool percent = false;
};

// `head`: the status line, if there is one, and the header lines, up to the blank line or the end.
LookupAnswer ReadAuthHttpReply(absl::string_view head, const AuthHttpRules& rules);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_AUTH_HTTP_MESSAGE_H_
