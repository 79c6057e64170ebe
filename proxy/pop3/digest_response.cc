#include "proxy/pop3/digest_response.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "proxy/pop3/command.h"

namespace postern::pop3 {
namespace {

using Directives = std::map<std::string, std::string>;  // by their names in small letters

// RFC 2831 section 7.2.
bool IsTokenLetter(char c) {
  return c > ' ' && c < 0x7F &&
         absl::string_view("()<>@,;:\\\"/[]?={}").find(c) == absl::string_view::npos;
}

void SkipSpaces(absl::string_view* text) {
  while (!text->empty() && text->front() == ' ') text->remove_prefix(1);
}

absl::string_view TakeToken(absl::string_view* text) {
  const auto end = std::find_if_not(text->begin(), text->end(), &IsTokenLetter);
  const absl::string_view token = text->substr(0, static_cast<size_t>(end - text->begin()));
  text->remove_prefix(token.size());
  return token;
}

// What stands between the quotation marks, without its backslashes.
bool TakeQuoted(absl::string_view* text, std::string* value) {
  text->remove_prefix(1);
  while (!text->empty() && text->front() != '"') {
    if (text->front() == '\\') text->remove_prefix(1);
    if (text->empty()) return false;
    *value += text->front();
    text->remove_prefix(1);
  }
  if (text->empty()) return false;
  text->remove_prefix(1);
  return true;
}

bool TakeDirective(absl::string_view* text, Directives* directives) {
  const absl::string_view name = TakeToken(text);
  SkipSpaces(text);
  if (name.empty() || text->empty() || text->front() != '=') return false;
  text->remove_prefix(1);
  SkipSpaces(text);
  std::string value;
  if (!text->empty() && text->front() == '"') {
    if (!TakeQuoted(text, &value)) return false;
  } else {
    value = std::string(TakeToken(text));
    if (value.empty()) return false;
  }
  return directives->emplace(absl::AsciiStrToLower(name), std::move(value)).second;
}

// A list as of RFC 2616: elements may be empty.
bool ReadDirectives(absl::string_view text, Directives* directives) {
  for (;;) {
    SkipSpaces(&text);
    if (text.empty()) return true;
    if (text.front() != ',' && !TakeDirective(&text, directives)) return false;
    SkipSpaces(&text);
    if (text.empty()) return true;
    if (text.front() != ',') return false;
    text.remove_prefix(1);
  }
}

}  // namespace

std::optional<DigestResponse> ReadDigestResponse(absl::string_view message) {
  if (message.size() > kDigestResponseBytesMax || HasControlBytes(message)) return std::nullopt;
  Directives directives;
  if (!ReadDirectives(message, &directives)) return std::nullopt;
  for (const char* needed : {"username", "nonce", "cnonce", "nc", "digest-uri", "response"}) {
    if (directives.count(needed) == 0) return std::nullopt;
  }
  const auto found = [&directives](const char* name) {
    const auto place = directives.find(name);
    return place == directives.end() ? std::string() : place->second;
  };
  const std::string qop = found("qop");
  if (!qop.empty() && !absl::EqualsIgnoreCase(qop, "auth")) return std::nullopt;
  if (!absl::StartsWithIgnoreCase(found("digest-uri"), "pop/")) return std::nullopt;
  DigestResponse response{found("username"), found("authzid"), found("realm")};
  const bool ascii = std::all_of(response.user.begin(), response.user.end(), [](char c) {
    return absl::ascii_isascii(static_cast<unsigned char>(c));
  });
  if (!ascii && !absl::EqualsIgnoreCase(found("charset"), "utf-8")) return std::nullopt;
  if (WithoutTrailingSpaces(response.user).empty()) return std::nullopt;
  return response;
}

}  // namespace postern::pop3
