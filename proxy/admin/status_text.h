// /api/v1/status as a text for a terminal.
#ifndef POSTERN_PROXY_ADMIN_STATUS_TEXT_H_
#define POSTERN_PROXY_ADMIN_STATUS_TEXT_H_

#include <string>

#include "absl/status/statusor.h"

namespace postern::admin {

// Pools, then backends: state, since when, sessions, why. The error: this is no such answer.
absl::StatusOr<std::string> StatusText(const std::string& status_json);

// The sessions at one backend, in all pools together.
absl::StatusOr<int> SessionsOf(const std::string& status_json, const std::string& backend);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_STATUS_TEXT_H_
