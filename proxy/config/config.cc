#include "proxy/config/config.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/draft.h"
#include "proxy/config/overlay.h"
#include "proxy/config/small_file.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {
namespace {

// Far more than any farm needs: users stand in map files, not here.
constexpr size_t kConfigBytesMax = 4 << 20;

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text, const std::string& file_name) {
  Diagnostics diagnostics(file_name);
  if (text.size() > kConfigBytesMax) {
    diagnostics.Add({}, absl::StrCat("has ", text.size(), " bytes, more than ", kConfigBytesMax,
                                     "; list users in a map file"));
    return diagnostics.ToStatus();
  }
  TomlNode root;
  Draft draft;
  if (ParseToml(text, &root, &diagnostics)) {
    ParseDocument(root, file_name, &draft, &diagnostics);
    Validate(&draft, &diagnostics);
  }
  RETURN_IF_ERROR(diagnostics.ToStatus());
  return std::move(draft.config);
}

absl::StatusOr<Secret> ReadConfigText(const std::string& file) {
  return ReadSmallFile(file, kConfigBytesMax, FilePrivacy::kAnyone);
}

absl::StatusOr<Config> LoadConfig(const std::string& file) {
  ASSIGN_OR_RETURN(const Secret text, ReadConfigText(file));
  return ParseConfig(text.view(), file);
}

}  // namespace postern::config
