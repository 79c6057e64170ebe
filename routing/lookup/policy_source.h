// Asks a policy service, and tells it how logins went: see policy_message.h.
//
// A question's `method` is the command and its `message` the body; nothing else of it counts. An
// answer is kFound (go on, after `wait`), kForbidden, or kTemporary: nobody has answered. To a
// report every answer with a 2xx status is kFound.
#ifndef POSTERN_ROUTING_LOOKUP_POLICY_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_POLICY_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/secret.h"
#include "routing/lookup/http_client.h"
#include "routing/lookup/source.h"

namespace postern::routing {

struct PolicyOptions {
  std::vector<HttpUrl> urls;  // the next is asked when one fails
  std::string ca_file;        // empty: the system's
  // How we show who we are: by a header `key_header` with the secret as its value, or as this user
  // by Basic authentication (RFC 7617), with the secret as the password; neither: not at all.
  std::string key_header;
  std::string user;
  std::string secret_file;  // empty: there is none
  Secret secret;            // of the file
};

// A source for one thread: it keeps one connection, and stays with the URL that answered last.
std::unique_ptr<LookupSource> MakePolicySource(const PolicyOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_POLICY_SOURCE_H_
