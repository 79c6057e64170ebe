// Asks an authentication service the way nginx's mail proxy does (auth_http), and can do more:
// several URLs, kept connections, TLS.
#ifndef POSTERN_ROUTING_LOOKUP_AUTH_HTTP_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_AUTH_HTTP_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "routing/lookup/auth_http_message.h"
#include "routing/lookup/http_client.h"
#include "routing/lookup/source.h"

namespace postern::routing {

struct AuthHttpOptions {
  std::vector<HttpUrl> urls;  // the next is asked when one fails
  AuthHttpRules rules;
  AuthHttpExtras extras;
  std::string ca_file;  // empty: the system's
};

// A source for one thread: it keeps one connection, and stays with the URL that answered last.
std::unique_ptr<LookupSource> MakeAuthHttpSource(const AuthHttpOptions& options);

// The factory of such sources: whoever wants to ask each URL by itself finds the options in it.
struct AuthHttpFactory {
  AuthHttpOptions options;
  std::unique_ptr<LookupSource> operator()() const { return MakeAuthHttpSource(options); }
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_AUTH_HTTP_SOURCE_H_
