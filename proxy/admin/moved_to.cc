#include "proxy/admin/moved_to.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "proxy/admin/client.h"
#include "proxy/admin/url_text.h"
#include "proxy/base/status_macros.h"
#include "proxy/state_file.h"

namespace postern::admin {

absl::StatusOr<std::string> MovedTo(const config::Config& config, const std::string& user) {
  if (!config.admin.state_file.empty()) {
    ASSIGN_OR_RETURN(const SavedState saved, LoadStateFile(config.admin.state_file));
    for (const SavedState::Move& move : saved.moves) {
      if (move.user == user) return move.backend;
    }
    // As GroupOverrides::Find(): domains first, and of ranges the last one.
    std::string found;
    for (const SavedState::GroupMove& move : saved.group_moves) {
      if (!move.group.Has(user)) continue;
      if (move.group.kind == routing::Hold::Kind::kDomain) return move.backend;
      found = move.backend;
    }
    return found;
  }
  const absl::StatusOr<std::string> answer =
      Get(config.admin, absl::StrCat("/api/v1/moves?user=", UrlText(user)));
  if (!answer.ok()) return std::string();
  const nlohmann::json json = nlohmann::json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("users") || !json["users"].is_array() ||
      json["users"].empty()) {
    return std::string();
  }
  const nlohmann::json& first = json["users"][0];
  if (!first.is_object() || !first.contains("backend") || !first["backend"].is_string()) {
    return std::string();
  }
  return first["backend"].get<std::string>();
}

}  // namespace postern::admin
