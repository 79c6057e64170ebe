// A TOML document as plain values that remember where they stand in the file.
//
// The tree keeps toml++ (80,000 lines of templates) inside one source file and gives the rest of
// the configuration code a small thing to read.
#ifndef POSTERN_PROXY_CONFIG_TOML_TREE_H_
#define POSTERN_PROXY_CONFIG_TOML_TREE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/config/diagnostics.h"

namespace postern::config {

enum class NodeKind { kTable, kArray, kString, kInteger, kFloat, kBoolean, kDateOrTime };

// "a table", "a string", ...
absl::string_view NodeKindName(NodeKind kind);

struct TomlEntry;

struct TomlNode {
  NodeKind kind = NodeKind::kTable;
  Position position;               // of the value; a table: of its header or brace
  std::string text;                // kString
  int64_t integer = 0;             // kInteger
  double real = 0;                 // kFloat
  bool boolean = false;            // kBoolean
  std::vector<TomlNode> items;     // kArray, in order
  std::vector<TomlEntry> entries;  // kTable, in no particular order
};

struct TomlEntry {
  std::string key;
  Position position;  // of the key
  TomlNode value;
};

// Reads a whole document into *root. False, with the one mistake added, when it is not TOML.
bool ParseToml(absl::string_view text, TomlNode* root, Diagnostics* diagnostics);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_TOML_TREE_H_
