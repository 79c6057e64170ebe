#include "proxy/master_login.h"

#include <optional>
#include <string>
#include <utility>

#include "proxy/config/master_format.h"

namespace postern {

bool LogInAsMaster(absl::string_view user, absl::string_view master_password,
                   UpstreamAttempt* attempt) {
  const config::Backend& backend = *attempt->backend;
  attempt->password = master_password;
  attempt->foreign_password = true;
  if (backend.master_format.empty()) {
    attempt->user = backend.master_user;
    attempt->authorization_id = user;
    return true;
  }
  std::optional<std::string> name =
      config::MasterLoginName(backend.master_format, user, backend.master_user);
  if (!name.has_value()) return false;
  attempt->made_user = *std::move(name);
  attempt->user = attempt->made_user;
  return true;
}

}  // namespace postern
