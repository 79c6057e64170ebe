// Whom an operator means: one user or many, as the verbs take them.
#ifndef POSTERN_PROXY_ADMIN_USER_TARGET_H_
#define POSTERN_PROXY_ADMIN_USER_TARGET_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace postern::admin {

// Exactly one is set, or none.
struct UserTarget {
  std::string user;
  std::string domain;  // without '@'
  std::string hash_range;

  // The API's names of those that are set, with their values.
  std::vector<std::pair<std::string, std::string>> Fields() const;
};

// `name`: a login name, or "*@domain" or "@domain" for all users of one. InvalidArgument when both
// are given, or for another pattern: no user has such a name.
absl::StatusOr<UserTarget> ReadUserTarget(const std::string& name, const std::string& hash_range);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_USER_TARGET_H_
