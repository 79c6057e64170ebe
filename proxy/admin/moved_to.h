// Where an operator has moved a user, for people who ask without being the server.
#ifndef POSTERN_PROXY_ADMIN_MOVED_TO_H_
#define POSTERN_PROXY_ADMIN_MOVED_TO_H_

#include <string>

#include "absl/status/statusor.h"
#include "proxy/config/config.h"

namespace postern::admin {

// The backend, or "" when the routes decide about `user`, who is normalised. From the state file,
// or without one from the running server, when there is one that answers.
absl::StatusOr<std::string> MovedTo(const config::Config& config, const std::string& user);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_MOVED_TO_H_
