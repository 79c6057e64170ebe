// Asks lookups from the command line, where no server runs.
#ifndef POSTERN_PROXY_ADMIN_LOOKUP_ASKER_H_
#define POSTERN_PROXY_ADMIN_LOOKUP_ASKER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"
#include "routing/explain.h"

namespace postern::admin {

// What a client's address is called when none is given (RFC 5737).
inline constexpr absl::string_view kExampleClient = "192.0.2.1";

// The login that is asked about, but for its user.
struct AskedLogin {
  const config::Listener* listener = nullptr;  // not null
  std::string client_ip;                       // empty: kExampleClient
  std::string sni;                             // that the client asks for, where it speaks TLS
  Secret password;                             // may be empty
};

// What a service is told of such a login by USER and PASS, as Session::Question() does; only the
// version and the cipher of TLS are not known. A listener with "stls" is taken for one where the
// client has done it.
routing::LookupQuestion QuestionFor(const AskedLogin& login, const std::string& user);

// What `postern route` uses: each question goes to a source made for it. Both must outlive the
// result. The note says how long the answer took.
routing::AskForExplanation LookupAsker(const config::Config& config, const AskedLogin& login);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_LOOKUP_ASKER_H_
