#include "routing/user_key.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"

namespace postern::routing {
namespace {

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool HasControl(absl::string_view text) { return std::any_of(text.begin(), text.end(), IsControl); }

absl::string_view TrimBlanks(absl::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == absl::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

absl::Status TooLong() {
  return absl::InvalidArgumentError(
      absl::StrCat("the user name is longer than ", kUserBytesMax, " octets"));
}

bool Strips(const UserOptions& options, absl::string_view domain) {
  return options.strip_domain == "*" ||
         (!options.strip_domain.empty() && absl::EqualsIgnoreCase(options.strip_domain, domain));
}

// Whether a capital was there.
bool Lower(std::string* text, size_t begin, size_t end) {
  bool changed = false;
  for (size_t i = begin; i < end; ++i) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>((*text)[i]));
    changed = changed || lower != (*text)[i];
    (*text)[i] = lower;
  }
  return changed;
}

// One domain of the configuration.
absl::Status CheckDomain(absl::string_view option, absl::string_view domain) {
  if (HasControl(domain) || domain.find_first_of(" @*") != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        option, " \"", EscapeForLog(domain),
        "\" is not a domain; write it like \"example.org\", without '@', '*' or spaces"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status NormaliseUser(const UserOptions& options, absl::string_view login, std::string* key,
                           UserChanges* changes) {
  UserChanges unused;
  if (changes == nullptr) changes = &unused;
  absl::string_view name = TrimBlanks(login);
  changes->trimmed = name.size() != login.size();
  if (name.empty()) return absl::InvalidArgumentError("the user name is empty");
  if (name.size() > kUserBytesMax) return TooLong();
  if (HasControl(name)) {
    return absl::InvalidArgumentError("the user name contains control bytes");
  }
  size_t at = name.rfind('@');
  if (at != absl::string_view::npos && at + 1 < name.size() &&
      Strips(options, name.substr(at + 1))) {
    name = TrimBlanks(name.substr(0, at));
    changes->stripped = true;
    at = name.rfind('@');
  }
  if (name.empty() || name.front() == '@') {
    return absl::InvalidArgumentError("the user name has nothing before the '@'");
  }
  if (at == absl::string_view::npos) {
    key->assign(name.data(), name.size());
    if (!options.default_domain.empty()) {
      changes->appended = true;
      at = key->size();
      key->push_back('@');
      key->append(options.default_domain);
      if (key->size() > kUserBytesMax) return TooLong();
    }
  } else if (at + 1 == name.size()) {
    return absl::InvalidArgumentError("the user name has nothing behind the '@'");
  } else {
    key->assign(name.data(), name.size());
  }
  at = std::min(at, key->size());
  if (options.lowercase_local) changes->lowered = Lower(key, 0, at);
  if (options.lowercase_domain) {
    const bool lowered = Lower(key, at, key->size());
    changes->lowercased = lowered && !changes->appended;
  }
  return absl::OkStatus();
}

absl::Status NormaliseDomainPattern(const UserOptions& options, absl::string_view pattern,
                                    std::string* domain) {
  if (!IsDomainPattern(pattern)) {
    return absl::InvalidArgumentError("a pattern for a domain begins with \"*@\"");
  }
  pattern.remove_prefix(2);
  if (pattern.empty() || HasControl(pattern) ||
      pattern.find_first_of(" @*") != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        "behind \"*@\" stands exactly one domain, like \"*@example.org\"");
  }
  if (pattern.size() + 2 > kUserBytesMax) return TooLong();
  // A stripped user only has a domain if it gets the default one.
  if (Strips(options, pattern) && !absl::EqualsIgnoreCase(options.default_domain, pattern)) {
    return absl::InvalidArgumentError(
        "no user ever has this domain, strip_domain takes it away; route the bare names or \"*\"");
  }
  domain->assign(pattern.data(), pattern.size());
  if (options.lowercase_domain) absl::AsciiStrToLower(domain);
  return absl::OkStatus();
}

bool IsDomainPattern(absl::string_view pattern) { return absl::StartsWith(pattern, "*@"); }

absl::string_view DomainOf(absl::string_view key) {
  const size_t at = key.rfind('@');
  return at == absl::string_view::npos ? absl::string_view() : key.substr(at + 1);
}

absl::Status CheckUserOptions(const UserOptions& options) {
  RETURN_IF_ERROR(CheckDomain("default_domain", options.default_domain));
  if (options.strip_domain == "*") return absl::OkStatus();
  return CheckDomain("strip_domain", options.strip_domain);
}

}  // namespace postern::routing
