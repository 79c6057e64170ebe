#include "routing/lookup/answer_row.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proxy/base/escape.h"

namespace postern::routing {
namespace {

constexpr size_t kValueBytesMax = 512;
constexpr size_t kMessageBytesMax = 300;

// Empty when `value` can be used.
absl::string_view Fault(absl::string_view value) {
  if (value.empty()) return "is empty";
  if (value.size() > kValueBytesMax) return "is longer than 512 bytes";
  const bool control = std::any_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  return control ? "holds a control character" : "";
}

}  // namespace

// Empty is not null: to MySQL's library that would be NULL.
UserParts::UserParts(absl::string_view name) : user(name), local(name), domain("") {
  const size_t at = name.rfind('@');
  if (at == absl::string_view::npos) return;
  local = name.substr(0, at);
  domain = name.substr(at + 1);
}

std::string FillPattern(absl::string_view pattern, const UserParts& parts,
                        std::string (*escape)(absl::string_view)) {
  const std::pair<absl::string_view, absl::string_view> words[] = {
      {"{user}", parts.user}, {"{local}", parts.local}, {"{domain}", parts.domain}};
  std::string filled;
  while (!pattern.empty()) {
    bool found = false;
    for (const auto& [word, value] : words) {
      if (!absl::StartsWith(pattern, word)) continue;
      filled += escape(value);
      pattern.remove_prefix(word.size());
      found = true;
      break;
    }
    if (found) continue;
    filled += pattern.front();
    pattern.remove_prefix(1);
  }
  return filled;
}

bool PatternNamesUser(absl::string_view pattern) {
  return absl::StrContains(pattern, "{user}") || absl::StrContains(pattern, "{local}");
}

LookupAnswer AnswerOf(AnswerRow row, absl::string_view where) {
  using Kind = LookupAnswer::Kind;
  if (!row.target.has_value()) {
    return LookupAnswer::Of(Kind::kForbidden, absl::StrCat(where, ": the user has no target"));
  }
  const auto unusable = [where](absl::string_view what, absl::string_view fault) {
    return LookupAnswer::Of(Kind::kTemporary, absl::StrCat(where, ": the ", what, " ", fault));
  };
  if (const auto fault = Fault(*row.target); !fault.empty()) return unusable("target", fault);
  LookupAnswer answer = LookupAnswer::Of(Kind::kFound);
  answer.target = *std::move(row.target);
  if (row.login_user.has_value()) {
    if (const auto fault = Fault(*row.login_user); !fault.empty()) {
      return unusable("login_user", fault);
    }
    answer.login_user = *std::move(row.login_user);
  }
  if (row.login_secret.has_value()) {
    if (const auto fault = Fault(row.login_secret->view()); !fault.empty()) {
      return unusable("login_secret", fault);
    }
    answer.login_secret = std::move(row.login_secret);
  }
  return answer;
}

LookupAnswer SeveralRows(absl::string_view where) {
  return LookupAnswer::Of(
      LookupAnswer::Kind::kTemporary,
      absl::StrCat(where, ": there are several answers for one user; make it give one"));
}

std::string Scrubbed(absl::string_view message, const Secret& secret) {
  std::string text(absl::StripAsciiWhitespace(message));
  if (!secret.empty()) text = absl::StrReplaceAll(text, {{secret.view(), "***"}});
  for (char& c : text) {
    if (c == '\n' || c == '\t' || c == '\r') c = ' ';
    // A library's own quotes need no escape here.
    if (c == '"') c = '\'';
  }
  return EscapeForLog(text, kMessageBytesMax);
}

}  // namespace postern::routing
