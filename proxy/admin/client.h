// Asks the admin endpoint of a running server, for the command line.
#ifndef POSTERN_PROXY_ADMIN_CLIENT_H_
#define POSTERN_PROXY_ADMIN_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "proxy/config/config.h"

namespace postern::admin {

// With the token of `admin`, when it has one. The answer's body; the error is a sentence for the
// operator: nobody listens there, or what the server said.
absl::StatusOr<std::string> Get(const config::Admin& admin, const std::string& path);
absl::StatusOr<std::string> Post(const config::Admin& admin, const std::string& path,
                                 const std::string& body, int patience_seconds = 10);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_CLIENT_H_
