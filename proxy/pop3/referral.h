// "-ERR [REFERRAL/user@host:port] ...": a server that says where the user's mail is instead of
// letting the user in. Dovecot's login processes say it for users whose passdb entry has `nologin`
// and `host`. No I/O; fuzzed.
#ifndef POSTERN_PROXY_POP3_REFERRAL_H_
#define POSTERN_PROXY_POP3_REFERRAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

struct Referral {
  std::string user;   // as the other server is to hear it; empty: as before
  std::string host;   // a name or an IP literal without brackets; never empty
  uint16_t port = 0;  // 0: the one of the server that spoke
};

// `line` is a status line, with or without its CRLF. Nothing when it refers nowhere, or not in a
// form we understand.
std::optional<Referral> ReadReferral(absl::string_view line);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_REFERRAL_H_
