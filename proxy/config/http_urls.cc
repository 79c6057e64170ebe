#include "proxy/config/http_urls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/socket_address.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

using Url = routing::HttpUrl;

constexpr absl::string_view kUrlExamples =
    "; write it as \"http://127.0.0.1:9000/auth\", \"https://auth.example.net/pop3\" or "
    "\"unix:/run/auth.sock:/auth\"";

// "unix:/path" or "unix:/path:/uri", as nginx has it.
bool ReadUnixUrl(absl::string_view text, Url* url) {
  if (!absl::ConsumePrefix(&text, "unix:")) return false;
  const size_t colon = text.find(':');
  const absl::string_view path = text.substr(0, colon);
  const absl::string_view uri = colon == absl::string_view::npos ? "/" : text.substr(colon + 1);
  // sockaddr_un has room for 107 bytes.
  if (path.size() < 2 || path[0] != '/' || path.size() > 107) return false;
  if (uri.empty() || uri[0] != '/') return false;
  url->unix_path = std::string(path);
  url->host = "localhost";
  url->url = absl::StrCat("http://localhost", uri);
  return true;
}

// Without what may be a password or a key.
std::string ForPeople(absl::string_view url) {
  const absl::string_view rest = url.substr(0, url.find('?'));
  const size_t at = rest.rfind('@');
  const size_t scheme = rest.find("//");
  std::string shown(rest);
  if (at != absl::string_view::npos) {
    const size_t begin = scheme < at ? scheme + 2 : 0;
    shown = absl::StrCat(rest.substr(0, begin), "...", rest.substr(at));
  }
  if (rest.size() < url.size()) absl::StrAppend(&shown, "?...");
  return shown;
}

bool ReadUrl(const std::string& text, Url* url, bool* tls) {
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable || absl::StrContains(text, '#')) return false;
  if (absl::StartsWith(text, "unix:")) return ReadUnixUrl(text, url);
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "https://")) {
    *tls = true;
  } else if (!absl::ConsumePrefix(&rest, "http://")) {
    return false;
  }
  const absl::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  // A user in front of the host would be a password in the configuration and in messages.
  if (authority.empty() || absl::StrContains(authority, '@')) return false;
  const bool v6 = authority.front() == '[';
  const size_t colon = authority.rfind(':');
  const bool port_follows =
      v6 ? absl::StrContains(authority, "]:") : colon != absl::string_view::npos;
  const std::string with_port =
      port_follows ? std::string(authority) : absl::StrCat(authority, ":80");
  const absl::StatusOr<HostPort> parsed = ParseHostPort(with_port);
  if (!parsed.ok() || parsed->is_unix() || parsed->port == 0) return false;
  if (!parsed->is_literal() && !IsDnsName(parsed->host)) return false;
  url->host = v6 ? absl::StrCat("[", parsed->host, "]") : parsed->host;
  url->url = text;
  return true;
}

}  // namespace

void ReadHttpUrls(TableReader* reader, const std::string& file_name, Diagnostics* diagnostics,
                  absl::string_view example, std::vector<routing::HttpUrl>* urls,
                  std::string* ca_file) {
  std::vector<LocatedText> texts;
  bool tls = false;
  bool unreadable = false;
  if (!reader->Has("urls")) reader->Missing("urls", absl::StrCat("urls = [\"", example, "\"]"));
  if (reader->Strings("urls", &texts)) {
    for (const LocatedText& text : texts) {
      Url url;
      if (ReadUrl(text.text, &url, &tls)) {
        urls->push_back(std::move(url));
        continue;
      }
      unreadable = true;
      diagnostics->Add(text.position, absl::StrCat("\"", ForPeople(text.text),
                                                   "\" is no URL of a service", kUrlExamples));
    }
    if (texts.empty()) {
      diagnostics->Add(reader->At("urls"),
                       absl::StrCat("urls is empty; write urls = [\"", example, "\"]"));
    }
  }
  if (!reader->String("ca", ca_file)) return;
  *ca_file = ResolvePath(file_name, *ca_file);
  if (!tls && !unreadable) {
    diagnostics->Add(reader->At("ca"),
                     "ca means nothing where no URL begins with https://; remove it");
  }
}

}  // namespace postern::config
