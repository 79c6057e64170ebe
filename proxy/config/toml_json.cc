#include "proxy/config/toml_json.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace postern::config {
namespace {

using Json = nlohmann::json;

Json ToJson(const TomlNode& node) {
  switch (node.kind) {
    case NodeKind::kString:
      return node.text;
    case NodeKind::kInteger:
      return node.integer;
    case NodeKind::kFloat:
      return node.real;
    case NodeKind::kBoolean:
      return node.boolean;
    case NodeKind::kArray: {
      Json items = Json::array();
      for (const TomlNode& item : node.items) {
        if (item.kind != NodeKind::kDateOrTime) items.push_back(ToJson(item));
      }
      return items;
    }
    case NodeKind::kTable: {
      Json entries = Json::object();
      for (const TomlEntry& entry : node.entries) {
        if (entry.value.kind != NodeKind::kDateOrTime) entries[entry.key] = ToJson(entry.value);
      }
      return entries;
    }
    case NodeKind::kDateOrTime:
      break;
  }
  return nullptr;
}

bool FromJson(const Json& json, TomlNode* node) {
  if (json.is_string()) {
    node->kind = NodeKind::kString;
    node->text = json.get<std::string>();
  } else if (json.is_number_float()) {
    node->kind = NodeKind::kFloat;
    node->real = json.get<double>();
  } else if (json.is_number()) {
    node->kind = NodeKind::kInteger;
    node->integer = json.get<int64_t>();
  } else if (json.is_boolean()) {
    node->kind = NodeKind::kBoolean;
    node->boolean = json.get<bool>();
  } else if (json.is_array()) {
    node->kind = NodeKind::kArray;
    for (const Json& item : json) {
      if (!FromJson(item, &node->items.emplace_back())) return false;
    }
  } else if (json.is_object()) {
    node->kind = NodeKind::kTable;
    for (const auto& [key, value] : json.items()) {
      if (!FromJson(value, &node->entries.emplace_back(TomlEntry{key, {}, {}}).value)) return false;
    }
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::string TomlToJson(const TomlNode& node) {
  return ToJson(node).dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::optional<TomlNode> TomlFromJson(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  TomlNode node;
  if (json.is_discarded() || !FromJson(json, &node)) return std::nullopt;
  return node;
}

}  // namespace postern::config
