#include "proxy/config/places.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proxy/base/secret.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/draft.h"
#include "proxy/config/overlay.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {
namespace {

// What might be a path, and where it stands first.
using Places = absl::flat_hash_map<std::string, Position>;

bool IsBefore(const Position& a, const Position& b) {
  return std::pair(a.line, a.column) < std::pair(b.line, b.column);
}

// The depth of the tree is bounded by the parser.
void Collect(const TomlNode& node, const std::string& config_file, Places* places) {
  if (node.kind == NodeKind::kString && !node.text.empty()) {
    const auto [place, is_new] =
        places->try_emplace(ResolvePath(config_file, node.text), node.position);
    if (!is_new && IsBefore(node.position, place->second)) place->second = node.position;
  }
  for (const TomlNode& item : node.items) Collect(item, config_file, places);
  for (const TomlEntry& entry : node.entries) Collect(entry.value, config_file, places);
}

// Null when the line does not begin with a file that is known.
const Position* FindPlace(absl::string_view line, const Places& places) {
  // A path may contain the separator.
  for (size_t end = line.find(": "); end != absl::string_view::npos;
       end = line.find(": ", end + 1)) {
    const auto found = places.find(line.substr(0, end));
    if (found != places.end()) return &found->second;
  }
  return nullptr;
}

}  // namespace

absl::Status WithPlaces(const absl::Status& status, absl::string_view text,
                        const std::string& config_file) {
  if (status.ok()) return status;
  TomlNode root;
  Diagnostics diagnostics(config_file);
  if (!ParseToml(text, &root, &diagnostics)) return status;
  Places places;
  Collect(root, config_file, &places);
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    const Position* place = FindPlace(line, places);
    lines.push_back(place == nullptr ? std::string(line)
                                     : absl::StrCat(config_file, ":", place->line, ":",
                                                    place->column, ": ", line));
  }
  return absl::Status(status.code(), absl::StrJoin(lines, "\n"));
}

absl::Status WithPlaces(const absl::Status& status, const std::string& config_file) {
  if (status.ok()) return status;
  const absl::StatusOr<Secret> text = ReadConfigText(config_file);
  return text.ok() ? WithPlaces(status, text->view(), config_file) : status;
}

}  // namespace postern::config
