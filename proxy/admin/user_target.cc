#include "proxy/admin/user_target.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "proxy/base/escape.h"

namespace postern::admin {

std::vector<std::pair<std::string, std::string>> UserTarget::Fields() const {
  std::vector<std::pair<std::string, std::string>> fields;
  if (!user.empty()) fields.emplace_back("user", user);
  if (!domain.empty()) fields.emplace_back("domain", domain);
  if (!hash_range.empty()) fields.emplace_back("hash_range", hash_range);
  return fields;
}

absl::StatusOr<UserTarget> ReadUserTarget(const std::string& name, const std::string& hash_range) {
  UserTarget target;
  target.hash_range = hash_range;
  if (name.empty()) return target;
  if (!hash_range.empty()) {
    return absl::InvalidArgumentError("name a user, *@domain or --hash-range, one of them");
  }
  absl::string_view domain = name;
  absl::ConsumePrefix(&domain, "*");
  if (absl::ConsumePrefix(&domain, "@") && !domain.empty() && !absl::StrContains(domain, '*')) {
    target.domain = std::string(domain);
    return target;
  }
  if (absl::StrContains(name, '*')) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", EscapeForLog(name, 80),
                     "\" is no user; many are named by *@domain or --hash-range, all by "
                     "--hash-range 0-f"));
  }
  target.user = name;
  return target;
}

}  // namespace postern::admin
