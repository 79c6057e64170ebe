#include "proxy/config/table_reader.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

// `"word"`, cut so that a message stays one readable line.
std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 60;
  if (text.size() <= kShown) return absl::StrCat("\"", text, "\"");
  return absl::StrCat("\"", text.substr(0, kShown), "...\"");
}

bool Contains(const std::vector<std::string>& list, absl::string_view word) {
  return std::any_of(list.begin(), list.end(),
                     [word](const std::string& item) { return item == word; });
}

}  // namespace

const TomlNode* TableReader::Find(absl::string_view key) const {
  for (const TomlEntry& entry : table_.entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

const TomlNode* TableReader::Ask(absl::string_view key) {
  if (!Contains(asked_, key)) asked_.emplace_back(key);
  return Find(key);
}

Position TableReader::At(absl::string_view key) const {
  const TomlNode* node = Find(key);
  return node == nullptr ? table_.position : node->position;
}

void TableReader::WrongType(absl::string_view key, const TomlNode& node,
                            absl::string_view expected) {
  Add(node.position, absl::StrCat(key, " is ", NodeKindName(node.kind), "; it must be ", expected));
}

void TableReader::WrongWord(absl::string_view key, const TomlNode& node,
                            const std::vector<std::string>& allowed) {
  const std::string choices = absl::StrJoin(allowed, ", ", [](std::string* out, const auto& word) {
    absl::StrAppend(out, "\"", word, "\"");
  });
  if (node.kind != NodeKind::kString) {
    WrongType(key, node, absl::StrCat("one of ", choices));
    return;
  }
  Add(node.position, absl::StrCat(key, " = ", Quoted(node.text), " is not one of ", choices,
                                  DidYouMean(node.text, allowed)));
}

bool TableReader::Bool(absl::string_view key, bool* out) {
  const TomlNode* node = Ask(key);
  if (node == nullptr) return false;
  if (node->kind != NodeKind::kBoolean) {
    WrongType(key, *node, "true or false, without quotes");
    return false;
  }
  *out = node->boolean;
  return true;
}

bool TableReader::Int(absl::string_view key, int64_t min, int64_t max, int* out) {
  const TomlNode* node = Ask(key);
  if (node == nullptr) return false;
  if (node->kind != NodeKind::kInteger) {
    WrongType(key, *node, "a whole number, without quotes");
    return false;
  }
  if (node->integer < min || node->integer > max) {
    Add(node->position,
        absl::StrCat(key, " = ", node->integer, " is out of range; it must be ", min, " to ", max));
    return false;
  }
  *out = static_cast<int>(node->integer);
  return true;
}

bool TableReader::Decimal(absl::string_view key, double min, double max, double* out) {
  const TomlNode* node = Ask(key);
  if (node == nullptr) return false;
  if (node->kind != NodeKind::kFloat && node->kind != NodeKind::kInteger) {
    WrongType(key, *node, "a number such as 1.25, without quotes");
    return false;
  }
  const double number =
      node->kind == NodeKind::kFloat ? node->real : static_cast<double>(node->integer);
  // Not (number < min || number > max), which is false for NaN.
  if (!(number >= min && number <= max)) {
    Add(node->position,
        absl::StrCat(key, " = ", number, " is out of range; it must be ", min, " to ", max));
    return false;
  }
  *out = number;
  return true;
}

bool TableReader::Duration(absl::string_view key, DurationNs min, DurationNs max, DurationNs* out) {
  constexpr absl::string_view kSyntax =
      "durations are strings such as \"500ms\", \"15s\", \"11m\", \"1h\"";
  const TomlNode* node = Ask(key);
  if (node == nullptr) return false;
  if (node->kind != NodeKind::kString) {
    Add(node->position, absl::StrCat(key, " is ", NodeKindName(node->kind), "; ", kSyntax));
    return false;
  }
  const std::optional<DurationNs> duration = ParseDuration(node->text);
  if (!duration.has_value()) {
    Add(node->position,
        absl::StrCat(key, " = ", Quoted(node->text), " is not a duration; ", kSyntax));
    return false;
  }
  if (*duration < min || *duration > max) {
    Add(node->position,
        absl::StrCat(key, " = ", Quoted(node->text), " is out of range; it must be \"",
                     DurationText(min), "\" to \"", DurationText(max), "\""));
    return false;
  }
  *out = *duration;
  return true;
}

bool TableReader::Size(absl::string_view key, int64_t min, int64_t max, size_t* out) {
  constexpr absl::string_view kSyntax =
      "sizes are whole numbers of bytes or strings such as \"16KiB\", \"1MiB\"";
  const TomlNode* node = Ask(key);
  if (node == nullptr) return false;
  std::optional<int64_t> size;
  if (node->kind == NodeKind::kInteger) {
    size = node->integer;
  } else if (node->kind == NodeKind::kString) {
    size = ParseByteSize(node->text);
    if (!size.has_value()) {
      Add(node->position,
          absl::StrCat(key, " = ", Quoted(node->text), " is not a size; ", kSyntax));
      return false;
    }
  } else {
    Add(node->position, absl::StrCat(key, " is ", NodeKindName(node->kind), "; ", kSyntax));
    return false;
  }
  if (*size < min || *size > max) {
    Add(node->position,
        absl::StrCat(key, " of ", *size, " bytes is out of range; it must be ", min, " to ", max));
    return false;
  }
  *out = static_cast<size_t>(*size);
  return true;
}

bool TableReader::ReadText(const TomlNode& node, absl::string_view what, bool may_be_empty,
                           Diagnostics* diagnostics, std::string* out) {
  if (node.kind != NodeKind::kString) {
    diagnostics->Add(node.position, absl::StrCat(what, " is ", NodeKindName(node.kind),
                                                 "; it must be a string in quotes"));
    return false;
  }
  if (node.text.empty() && !may_be_empty) {
    diagnostics->Add(node.position, absl::StrCat(what, " is empty; write a value"));
    return false;
  }
  if (!HasNoControlBytes(node.text)) {
    diagnostics->Add(node.position,
                     absl::StrCat(what,
                                  " holds a control character (a line end, a tab, ...); "
                                  "write it without"));
    return false;
  }
  *out = node.text;
  return true;
}

bool TableReader::String(absl::string_view key, std::string* out) {
  const TomlNode* node = Ask(key);
  return node != nullptr && ReadText(*node, key, false, diagnostics_, out);
}

bool TableReader::StringOrEmpty(absl::string_view key, std::string* out) {
  const TomlNode* node = Ask(key);
  return node != nullptr && ReadText(*node, key, true, diagnostics_, out);
}

const TomlNode* TableReader::List(absl::string_view key) {
  const TomlNode* node = Ask(key);
  if (node == nullptr) return nullptr;
  if (node->kind == NodeKind::kArray) return node;
  WrongType(key, *node, "a list in square brackets");
  return nullptr;
}

bool TableReader::Strings(absl::string_view key, std::vector<LocatedText>* out) {
  const TomlNode* list = List(key);
  if (list == nullptr) return false;
  std::vector<LocatedText> texts;
  bool good = true;
  for (const TomlNode& item : list->items) {
    LocatedText text;
    text.position = item.position;
    if (ReadText(item, absl::StrCat("an item of ", key), false, diagnostics_, &text.text)) {
      texts.push_back(std::move(text));
    } else {
      good = false;
    }
  }
  if (good) *out = std::move(texts);
  return good;
}

const TomlNode* TableReader::Table(absl::string_view key) {
  const TomlNode* node = Ask(key);
  if (node == nullptr || node->kind == NodeKind::kTable) return node;
  WrongType(key, *node, absl::StrCat("a table: write [", key, "]"));
  return nullptr;
}

std::vector<const TomlNode*> TableReader::Tables(absl::string_view key) {
  std::vector<const TomlNode*> tables;
  const TomlNode* node = Ask(key);
  if (node == nullptr) return tables;
  const std::string expected =
      absl::StrCat("a list of tables: write [[", key, "]] or ", key, " = [{ ... }]");
  if (node->kind != NodeKind::kArray) {
    WrongType(key, *node, expected);
    return tables;
  }
  for (const TomlNode& item : node->items) {
    if (item.kind == NodeKind::kTable) {
      tables.push_back(&item);
    } else {
      WrongType(absl::StrCat("an item of ", key), item, expected);
    }
  }
  return tables;
}

void TableReader::Missing(absl::string_view key, absl::string_view example) {
  Add(table_.position, absl::StrCat(where_, " has no ", key, "; write ", example));
}

void TableReader::Finish() {
  for (const TomlEntry& entry : table_.entries) {
    if (Contains(asked_, entry.key)) continue;
    const std::string unknown = absl::StrCat("unknown key ", Quoted(entry.key), " in ", where_);
    if (elsewhere_ != nullptr && Contains(*elsewhere_, entry.key)) {
      Add(entry.position,
          absl::StrCat(unknown, "; it belongs to the top of the file, before the first [table]"));
      continue;
    }
    const std::string suggestion = DidYouMean(entry.key, asked_);
    if (!suggestion.empty()) {
      Add(entry.position, absl::StrCat(unknown, suggestion));
      continue;
    }
    std::vector<std::string> known = asked_;
    std::sort(known.begin(), known.end());
    Add(entry.position, absl::StrCat(unknown, "; known are ", absl::StrJoin(known, ", ")));
  }
}

}  // namespace postern::config
