#include "tls/server_names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace postern::tls {
namespace {

constexpr char kHostNameType = 0;

// Takes a 16-bit length and that many bytes from the front of `*body`.
bool TakeVector16(absl::string_view* body, absl::string_view* vector) {
  if (body->size() < 2) return false;
  const size_t size = static_cast<size_t>(static_cast<unsigned char>((*body)[0])) << 8 |
                      static_cast<unsigned char>((*body)[1]);
  body->remove_prefix(2);
  if (body->size() < size) return false;
  *vector = body->substr(0, size);
  body->remove_prefix(size);
  return true;
}

}  // namespace

bool IsServerName(absl::string_view name, bool wildcard_allowed) {
  if (wildcard_allowed) name = absl::StripPrefix(name, "*.");
  if (name.empty() || name.size() > kServerNameBytesMax) return false;
  char before = '.';
  for (const char c : name) {
    if (c == '.' ? before == '.'
                 : !absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') {
      return false;
    }
    before = c;
  }
  return before != '.';
}

absl::string_view HostNameFromExtension(absl::string_view body) {
  absl::string_view list;
  if (!TakeVector16(&body, &list) || !body.empty()) return {};
  while (!list.empty()) {
    const char type = list[0];
    list.remove_prefix(1);
    absl::string_view name;
    if (!TakeVector16(&list, &name)) return {};
    if (type == kHostNameType) return name;
  }
  return {};
}

void ServerNames::Add(absl::string_view name, size_t value) {
  const std::string lower = absl::AsciiStrToLower(name);
  if (absl::StartsWith(lower, "*.")) {
    wildcard_.try_emplace(lower.substr(2), value);
  } else {
    exact_.try_emplace(lower, value);
  }
}

size_t ServerNames::Find(absl::string_view name, size_t otherwise) const {
  name = absl::StripSuffix(name, ".");
  if (!IsServerName(name, /*wildcard_allowed=*/false)) return otherwise;
  char buffer[kServerNameBytesMax];
  for (size_t i = 0; i < name.size(); ++i) {
    buffer[i] = absl::ascii_tolower(static_cast<unsigned char>(name[i]));
  }
  const absl::string_view lower(buffer, name.size());
  if (const auto found = exact_.find(lower); found != exact_.end()) return found->second;
  const size_t dot = lower.find('.');
  if (dot == absl::string_view::npos) return otherwise;
  const auto found = wildcard_.find(lower.substr(dot + 1));
  return found == wildcard_.end() ? otherwise : found->second;
}

}  // namespace postern::tls
