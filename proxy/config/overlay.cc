#include "proxy/config/overlay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/draft.h"
#include "proxy/config/toml_json.h"
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

// A backend as a model for others.
struct Model {
  TomlNode table;
  bool only_named = false;  // a [[backend]] that the pool only names
};

// What the file has under the name `like`.
std::optional<Model> ModelIn(const TomlNode& file, const AddedBackend& added) {
  TomlNode copy = file;
  const TomlNode* pool = FindPool(&copy, added.pool);
  const TomlNode* list = pool == nullptr ? nullptr : Member(*pool, "backends");
  const TomlNode* found = list == nullptr ? nullptr : FindNamed(*list, added.like);
  Model model;
  model.only_named = found != nullptr && found->kind == NodeKind::kString;
  if (model.only_named) {
    const TomlNode* own = Member(file, "backend");
    found = own == nullptr ? nullptr : FindNamed(*own, added.like);
  }
  if (found == nullptr || found->kind != NodeKind::kTable) return std::nullopt;
  model.table = *found;
  ForgetPositions(&model.table);
  std::vector<TomlEntry>& entries = model.table.entries;
  entries.erase(std::remove_if(entries.begin(), entries.end(),
                               [](const TomlEntry& entry) { return entry.key == "agent"; }),
                entries.end());
  return model;
}

// {"table": {...}, "named": true}
std::string WriteModel(Model model) {
  TomlNode named;
  named.kind = NodeKind::kBoolean;
  named.boolean = model.only_named;
  TomlNode both;
  both.entries.push_back({"table", {}, std::move(model.table)});
  both.entries.push_back({"named", {}, std::move(named)});
  return TomlToJson(both);
}

std::optional<Model> ReadModel(absl::string_view text) {
  const std::optional<TomlNode> both = TomlFromJson(text);
  if (!both.has_value()) return std::nullopt;
  const TomlNode* table = Member(*both, "table");
  const TomlNode* named = Member(*both, "named");
  if (table == nullptr || table->kind != NodeKind::kTable || named == nullptr) return std::nullopt;
  return Model{*table, named->boolean};
}

// The table of `like`. `file`: before anything was removed from it, because servers are replaced by
// others like them. When it is not there any more, what it said last counts.
absl::StatusOr<Model> ModelFor(const TomlNode& file, const AddedBackend& added) {
  std::optional<Model> model = ModelIn(file, added);
  if (!model.has_value() && !added.model.empty()) model = ReadModel(added.model);
  if (model.has_value()) return *std::move(model);
  return absl::InvalidArgumentError(
      absl::StrCat("pool \"", added.pool, "\" has no backend \"", added.like, "\" to be like"));
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
  Model model;
  if (!added.like.empty()) {
    ASSIGN_OR_RETURN(model, ModelFor(file, added));
  }
  TomlNode& table = model.table;
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
  if (!model.only_named) {
    list->items.push_back(std::move(table));
    return absl::OkStatus();
  }
  // A [[backend]] does not take the pool's defaults, and neither does one like it.
  list->items.push_back(TextNode(added.name));
  if (Member(root, "backend") == nullptr) {
    TomlNode none;
    none.kind = NodeKind::kArray;
    SetMember(root, "backend", std::move(none));
  }
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

// One thing that an operator has done: somebody added, perhaps in the place of one of the same name
// that was removed; or somebody removed.
struct Change {
  std::optional<AddedBackend> added;
  std::optional<RemovedBackend> removed;
};

// What is added comes first: it may be what lets another one go.
std::vector<Change> ChangesOf(const Overlay& overlay) {
  std::vector<Change> changes;
  for (const AddedBackend& added : overlay.added) changes.push_back({added, std::nullopt});
  for (const RemovedBackend& removed : overlay.removed) {
    const auto same = std::find_if(changes.begin(), changes.end(), [&removed](const Change& c) {
      return c.added.has_value() && c.added->name == removed.name;
    });
    if (same != changes.end()) {
      same->removed = removed;
    } else {
      changes.push_back({std::nullopt, removed});
    }
  }
  return changes;
}

std::string GivenUp(const Change& change, const absl::Status& status) {
  if (change.added.has_value()) {
    return absl::StrCat("backend ", change.added->name, ", added by hand by ", change.added->who,
                        ", does not fit the file any more and is gone: ", status.message());
  }
  return absl::StrCat("backend ", change.removed->name, ", removed by hand by ",
                      change.removed->who,
                      ", is needed by the file and is back: ", status.message());
}

// Lays as much over the file as goes together with it. Halves: a trial may take seconds, and mostly
// one thing is wrong at most.
class Fitter {
 public:
  using Try = std::function<absl::Status(const Overlay&)>;
  Fitter(Try trial, std::vector<std::string>* warnings)
      : try_(std::move(trial)), warnings_(warnings) {}

  void Take(absl::Span<const Change> changes) {
    if (changes.empty()) return;
    Overlay next = taken_;
    for (const Change& change : changes) {
      if (change.added.has_value()) next.added.push_back(*change.added);
      if (change.removed.has_value()) next.removed.push_back(*change.removed);
    }
    const absl::Status status = try_(next);
    if (status.ok()) {
      taken_ = std::move(next);
    } else if (changes.size() == 1) {
      warnings_->push_back(GivenUp(changes[0], status));
    } else {
      Take(changes.first(changes.size() / 2));
      Take(changes.subspan(changes.size() / 2));
    }
  }
  const Overlay& taken() const { return taken_; }

 private:
  const Try try_;
  std::vector<std::string>* const warnings_;
  Overlay taken_;
};

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

void RememberModels(absl::string_view text, Overlay* overlay) {
  Diagnostics ignored("");
  TomlNode root;
  if (overlay->added.empty() || !ParseToml(text, &root, &ignored)) return;
  for (AddedBackend& added : overlay->added) {
    if (added.like.empty()) continue;
    std::optional<Model> model = ModelIn(root, added);
    if (model.has_value()) added.model = WriteModel(*std::move(model));
  }
}

absl::StatusOr<Fitted> ParseFitting(absl::string_view text, const std::string& file_name,
                                    const Overlay& wanted,
                                    const std::function<absl::Status(const Config&)>& judge) {
  Fitted fitted;
  ASSIGN_OR_RETURN(fitted.config, ParseConfig(text, file_name));
  if (judge != nullptr) RETURN_IF_ERROR(judge(fitted.config));
  Diagnostics diagnostics(file_name);
  TomlNode root;
  if (wanted.empty() || !ParseToml(text, &root, &diagnostics)) return fitted;
  const auto trial = [&](const Overlay& overlay) -> absl::Status {
    ASSIGN_OR_RETURN(Config config, ParseWithOverlay(text, file_name, overlay));
    if (judge != nullptr) RETURN_IF_ERROR(judge(config));
    fitted.config = std::move(config);
    return absl::OkStatus();
  };
  const Overlay left = WithoutSettled(root, wanted, &fitted.settled);
  Fitter fitter(trial, &fitted.warnings);
  const std::vector<Change> changes = ChangesOf(left);
  fitter.Take(changes);
  fitted.overlay = fitter.taken();
  return fitted;
}

}  // namespace postern::config
