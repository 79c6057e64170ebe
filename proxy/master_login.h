// Whose name and password log a user in at a backend that takes neither from the client.
#ifndef POSTERN_PROXY_MASTER_LOGIN_H_
#define POSTERN_PROXY_MASTER_LOGIN_H_

#include "absl/strings/string_view.h"
#include "proxy/config/config.h"
#include "proxy/upstream_login.h"

namespace postern {

// Fills in the login of `user` at attempt->backend, which has login = "master". False when the
// user's name cannot be written in the backend's master_format. Views go into the attempt, which
// must not be moved afterwards.
bool LogInAsMaster(absl::string_view user, absl::string_view master_password,
                   UpstreamAttempt* attempt);

}  // namespace postern

#endif  // POSTERN_PROXY_MASTER_LOGIN_H_
