// How a user's name and a master user's make one login name, as Dovecot wants it where
// auth_master_user_separator is set: "user*master". For servers that take no authorization
// identity.
#ifndef POSTERN_PROXY_CONFIG_MASTER_FORMAT_H_
#define POSTERN_PROXY_CONFIG_MASTER_FORMAT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::config {

// "{user}*{master}" or "{master}/{user}".
struct MasterFormat {
  bool user_first = true;
  absl::string_view separator;  // into the format
};

// Nothing unless the two stand there once each, with 1 to 8 printable characters between them that
// are neither letters nor digits.
std::optional<MasterFormat> ParseMasterFormat(absl::string_view format);

// The login name. Nothing when `user` holds the separator: the server would then read another
// user's name and another master's out of it. `format` is a good one.
std::optional<std::string> MasterLoginName(absl::string_view format, absl::string_view user,
                                           absl::string_view master);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_MASTER_FORMAT_H_
