// Servers that repeat what they were told: some answer a command that they do not know with the
// command itself.
#ifndef POSTERN_PROXY_REPEATED_SECRET_H_
#define POSTERN_PROXY_REPEATED_SECRET_H_

#include "absl/strings/string_view.h"
#include "proxy/upstream_login.h"

namespace postern {

// Whether a backend's line holds what this attempt logs in with. Then neither the log nor, after a
// login with a password that is not the client's own, the client may see it.
bool RepeatsSecret(const UpstreamAttempt& attempt, absl::string_view line);

}  // namespace postern

#endif  // POSTERN_PROXY_REPEATED_SECRET_H_
