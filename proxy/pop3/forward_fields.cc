#include "proxy/pop3/forward_fields.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/pop3/sasl.h"

namespace postern::pop3 {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr char kEscape = '\001';
// What stands behind the escape, and what it stands for.
constexpr std::pair<char, char> kEscaped[] = {
    {'0', '\0'}, {'1', kEscape}, {'t', '\t'}, {'r', '\r'}, {'n', '\n'}};

std::string Escape(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto* found = std::find_if(std::begin(kEscaped), std::end(kEscaped),
                                     [c](const auto& pair) { return pair.second == c; });
    if (found == std::end(kEscaped)) {
      escaped += c;
    } else {
      escaped += kEscape;
      escaped += found->first;
    }
  }
  return escaped;
}

std::optional<std::string> Unescape(absl::string_view escaped) {
  std::string text;
  for (size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] != kEscape) {
      text += escaped[i];
      continue;
    }
    if (++i == escaped.size()) return std::nullopt;
    const char letter = escaped[i];
    const auto* found = std::find_if(std::begin(kEscaped), std::end(kEscaped),
                                     [letter](const auto& pair) { return pair.first == letter; });
    if (found == std::end(kEscaped)) return std::nullopt;
    text += found->second;
  }
  return text;
}

bool Has(const ForwardFields& fields, absl::string_view name) {
  return std::any_of(fields.begin(), fields.end(),
                     [name](const auto& field) { return field.first == name; });
}

}  // namespace

bool IsForwardName(absl::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ||
                  c == '.';
         });
}

std::optional<ForwardFields> ReadForward(absl::string_view base64) {
  const absl::StatusOr<Secret> text = DecodeBase64(base64);
  if (!text.ok()) return std::nullopt;
  ForwardFields fields;
  if (text->empty()) return fields;
  for (const absl::string_view part : absl::StrSplit(text->view(), '\t')) {
    // Escapes cannot hide a '=', so the name is in front of the first one.
    const size_t equals = std::min(part.find('='), part.size());
    const absl::string_view name = part.substr(0, equals);
    std::optional<std::string> value = Unescape(part.substr(std::min(equals + 1, part.size())));
    if (!IsForwardName(name) || !value.has_value() || Has(fields, name)) continue;
    fields.emplace_back(std::string(name), *std::move(value));
  }
  return fields;
}

std::string WriteForward(const ForwardFields& fields, size_t bytes_max) {
  const size_t text_max = bytes_max / 4 * 3;
  std::string text;
  for (const auto& [name, value] : fields) {
    const std::string field = absl::StrCat(text.empty() ? "" : "\t", name, "=", Escape(value));
    if (text.size() + field.size() > text_max) break;
    text += field;
  }
  return EncodeBase64(text);
}

ForwardFields JoinForward(ForwardFields own, const ForwardFields& told) {
  const size_t own_count = own.size();
  for (const auto& field : told) {
    const bool is_own =
        std::any_of(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(own_count),
                    [&](const auto& mine) { return mine.first == field.first; });
    if (!is_own) own.push_back(field);
  }
  return own;
}

}  // namespace postern::pop3
