// A table of a TOML document as one line of JSON, and back, for whoever has to keep it in a file of
// his own.
#ifndef POSTERN_PROXY_CONFIG_TOML_JSON_H_
#define POSTERN_PROXY_CONFIG_TOML_JSON_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {

// Without control bytes. Dates and times, which no key of ours has, are left out.
std::string TomlToJson(const TomlNode& node);
// Nothing when it is no JSON, or has a null. Positions are not kept.
std::optional<TomlNode> TomlFromJson(absl::string_view text);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_TOML_JSON_H_
