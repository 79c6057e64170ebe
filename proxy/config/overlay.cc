#include "proxy/config/overlay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/draft.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {
namespace {

const TomlNode* Member(const TomlNode& table, absl::string_view key) {
  for (const TomlEntry& entry : table.entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

TomlNode* Member(TomlNode* table, absl::string_view key) {
  for (TomlEntry& entry : table->entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

// Of a table with a name, or of a name in quotes.
std::string NameOf(const TomlNode& node) {
  if (node.kind == NodeKind::kString) return node.text;
  const TomlNode* name = Member(node, "name");
  return name != nullptr && name->kind == NodeKind::kString ? name->text : "";
}

TomlNode TextNode(const std::string& text) {
  TomlNode node;
  node.kind = NodeKind::kString;
  node.text = text;
  return node;
}

void SetMember(TomlNode* table, const std::string& key, TomlNode value) {
  if (TomlNode* old = Member(table, key)) {
    *old = std::move(value);
    return;
  }
  table->entries.push_back({key, {}, std::move(value)});
}

// A copy stands nowhere in the file.
void ForgetPositions(TomlNode* node) {
  node->position = {};
  for (TomlNode& item : node->items) ForgetPositions(&item);
  for (TomlEntry& entry : node->entries) {
    entry.position = {};
    ForgetPositions(&entry.value);
  }
}

const TomlNode* FindNamed(const TomlNode& list, const std::string& name) {
  for (const TomlNode& item : list.items) {
    if (NameOf(item) == name) return &item;
  }
  return nullptr;
}

TomlNode* FindPool(TomlNode* root, const std::string& name) {
  TomlNode* pools = Member(root, "pool");
  if (pools == nullptr) return nullptr;
  for (TomlNode& pool : pools->items) {
    if (NameOf(pool) == name) return &pool;
  }
  return nullptr;
}

// Whether the file defines it, inside a pool or outside.
bool Defines(const TomlNode& root, const std::string& name) {
  const TomlNode* own = Member(root, "backend");
  if (own != nullptr && FindNamed(*own, name) != nullptr) return true;
  const TomlNode* pools = Member(root, "pool");
  if (pools == nullptr) return false;
  return std::any_of(pools->items.begin(), pools->items.end(), [&name](const TomlNode& pool) {
    const TomlNode* list = Member(pool, "backends");
    const TomlNode* found = list == nullptr ? nullptr : FindNamed(*list, name);
    return found != nullptr && found->kind == NodeKind::kTable;
  });
}

void EraseNamed(TomlNode* list, const std::string& name) {
  if (list == nullptr) return;
  std::vector<TomlNode> kept;
  for (TomlNode& item : list->items) {
    if (NameOf(item) != name) kept.push_back(std::move(item));
  }
  list->items = std::move(kept);
}

void Remove(TomlNode* root, const std::string& name) {
  EraseNamed(Member(root, "backend"), name);
  TomlNode* pools = Member(root, "pool");
  if (pools == nullptr) return;
  for (TomlNode& pool : pools->items) EraseNamed(Member(&pool, "backends"), name);
}

// The table of `like`, and whether it is a [[backend]] that the pool only names. `file`: before
// anything was removed from it, because servers are replaced by others like them.
absl::StatusOr<TomlNode> TableLike(const TomlNode& file, const AddedBackend& added,
                                   bool* only_named) {
  TomlNode copy = file;
  const TomlNode* pool = FindPool(&copy, added.pool);
  const TomlNode* list = pool == nullptr ? nullptr : Member(*pool, "backends");
  const TomlNode* found = list == nullptr ? nullptr : FindNamed(*list, added.like);
  *only_named = found != nullptr && found->kind == NodeKind::kString;
  if (*only_named) {
    const TomlNode* own = Member(file, "backend");
    found = own == nullptr ? nullptr : FindNamed(*own, added.like);
  }
  if (found == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("pool \"", added.pool, "\" has no backend \"", added.like, "\" to be like"));
  }
  TomlNode table = *found;
  ForgetPositions(&table);
  table.entries.erase(std::remove_if(table.entries.begin(), table.entries.end(),
                                     [](const TomlEntry& entry) { return entry.key == "agent"; }),
                      table.entries.end());
  return table;
}

absl::Status Add(const TomlNode& file, const AddedBackend& added, TomlNode* root) {
  if (Defines(*root, added.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is a backend \"", added.name, "\" already"));
  }
  // The file's own check would tell of a line that this backend does not have.
  if (const TomlNode* taken = FindPool(root, added.name)) {
    return absl::InvalidArgumentError(absl::StrCat("it has the name of the pool in line ",
                                                   Member(*taken, "name")->position.line,
                                                   "; maps may name either, so give it its own"));
  }
  TomlNode* pool = FindPool(root, added.pool);
  TomlNode* list = pool == nullptr ? nullptr : Member(pool, "backends");
  if (list == nullptr || list->kind != NodeKind::kArray) {
    return absl::InvalidArgumentError(absl::StrCat("there is no pool \"", added.pool, "\""));
  }
  TomlNode table;
  bool only_named = false;
  if (!added.like.empty()) {
    ASSIGN_OR_RETURN(table, TableLike(file, added, &only_named));
  }
  for (const auto& [key, text] :
       {std::make_pair("name", &added.name), std::make_pair("address", &added.address),
        std::make_pair("tls", &added.tls), std::make_pair("ca", &added.ca),
        std::make_pair("server_name", &added.server_name)}) {
    if (!text->empty()) SetMember(&table, key, TextNode(*text));
  }
  if (added.weight.has_value()) {
    TomlNode weight;
    weight.kind = NodeKind::kInteger;
    weight.integer = *added.weight;
    SetMember(&table, "weight", std::move(weight));
  }
  if (!only_named) {
    list->items.push_back(std::move(table));
    return absl::OkStatus();
  }
  // A [[backend]] does not take the pool's defaults, and neither does one like it.
  list->items.push_back(TextNode(added.name));
  Member(root, "backend")->items.push_back(std::move(table));
  return absl::OkStatus();
}

absl::Status PutOver(const Overlay& overlay, TomlNode* root) {
  const TomlNode file = *root;
  for (const RemovedBackend& removed : overlay.removed) Remove(root, removed.name);
  for (const AddedBackend& added : overlay.added) RETURN_IF_ERROR(Add(file, added, root));
  return absl::OkStatus();
}

template <typename List>
bool Names(const List& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(),
                     [&name](const auto& entry) { return entry.name == name; });
}

// What the file says itself by now needs no hand any more.
Overlay WithoutSettled(const TomlNode& root, const Overlay& wanted,
                       std::vector<std::string>* settled) {
  Overlay left;
  for (const RemovedBackend& removed : wanted.removed) {
    if (Defines(root, removed.name)) {
      left.removed.push_back(removed);
      continue;
    }
    settled->push_back(absl::StrCat("backend ", removed.name,
                                    ": the file has it no longer; that it was removed by hand is "
                                    "forgotten"));
  }
  for (const AddedBackend& added : wanted.added) {
    if (!Defines(root, added.name) || Names(left.removed, added.name)) {
      left.added.push_back(added);
      continue;
    }
    settled->push_back(absl::StrCat("backend ", added.name,
                                    ": the file has it now; that it was added by hand is "
                                    "forgotten"));
  }
  return left;
}

}  // namespace

absl::StatusOr<Config> ParseWithOverlay(absl::string_view text, const std::string& file_name,
                                        const Overlay& overlay) {
  if (overlay.empty()) return ParseConfig(text, file_name);
  Diagnostics diagnostics(file_name);
  TomlNode root;
  Draft draft;
  if (ParseToml(text, &root, &diagnostics)) {
    RETURN_IF_ERROR(PutOver(overlay, &root));
    ParseDocument(root, file_name, &draft, &diagnostics);
    Validate(&draft, &diagnostics);
  }
  const absl::Status status = diagnostics.ToStatus();
  if (status.ok()) return std::move(draft.config);
  // What was added stands nowhere in the file.
  return absl::InvalidArgumentError(
      absl::StrReplaceAll(status.message(), {{absl::StrCat(file_name, ": "), ""}}));
}

absl::StatusOr<Fitted> ParseFitting(absl::string_view text, const std::string& file_name,
                                    const Overlay& wanted) {
  Fitted fitted;
  ASSIGN_OR_RETURN(fitted.config, ParseConfig(text, file_name));
  Diagnostics diagnostics(file_name);
  TomlNode root;
  if (wanted.empty() || !ParseToml(text, &root, &diagnostics)) return fitted;
  const Overlay left = WithoutSettled(root, wanted, &fitted.settled);
  const auto take = [&](const Overlay& trial) -> absl::Status {
    absl::StatusOr<Config> config = ParseWithOverlay(text, file_name, trial);
    if (!config.ok()) return config.status();
    fitted.config = *std::move(config);
    fitted.overlay = trial;
    return absl::OkStatus();
  };
  if (take(left).ok()) return fitted;
  // One by one, to keep what still fits. What is added first may be what lets another one go.
  for (const AddedBackend& added : left.added) {
    Overlay trial = fitted.overlay;
    trial.added.push_back(added);
    for (const RemovedBackend& removed : left.removed) {
      if (removed.name == added.name) trial.removed.push_back(removed);
    }
    const absl::Status status = take(trial);
    if (status.ok()) continue;
    fitted.warnings.push_back(
        absl::StrCat("backend ", added.name, ", added by hand by ", added.who,
                     ", does not fit the file any more and is gone: ", status.message()));
  }
  for (const RemovedBackend& removed : left.removed) {
    if (Names(fitted.overlay.removed, removed.name)) continue;
    Overlay trial = fitted.overlay;
    trial.removed.push_back(removed);
    const absl::Status status = take(trial);
    if (status.ok()) continue;
    fitted.warnings.push_back(
        absl::StrCat("backend ", removed.name, ", removed by hand by ", removed.who,
                     ", is needed by the file and is back: ", status.message()));
  }
  return fitted;
}

}  // namespace postern::config
