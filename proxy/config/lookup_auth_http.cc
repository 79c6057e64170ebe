// The keys of type = "auth_http".
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proxy/base/socket_address.h"
#include "proxy/config/draft.h"
#include "proxy/config/lookups.h"
#include "proxy/config/value_syntax.h"
#ifdef POSTERN_AUTH_HTTP
#include "routing/lookup/auth_http_source.h"
#endif

namespace postern::config {

#ifdef POSTERN_AUTH_HTTP

namespace {

using Url = routing::AuthHttpOptions::Url;

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

// Names that the protocol itself has, or that belong to the transport.
bool IsOwnHeader(absl::string_view name) {
  for (const absl::string_view own :
       {"Auth-Method", "Auth-User", "Auth-Pass", "Auth-Salt", "Auth-Protocol", "Auth-Login-Attempt",
        "Client-IP", "Auth-SSL", "Auth-SSL-Protocol", "Auth-SSL-Cipher", "Host", "Connection",
        "Content-Length", "Transfer-Encoding", "Expect", "Upgrade"}) {
    if (absl::EqualsIgnoreCase(name, own)) return true;
  }
  return false;
}

void ReadHeaders(TableReader* reader, Diagnostics* diagnostics,
                 std::vector<std::pair<std::string, std::string>>* headers) {
  const TomlNode* table = reader->Table("headers");
  if (table == nullptr) return;
  std::vector<const TomlEntry*> entries;
  for (const TomlEntry& entry : table->entries) entries.push_back(&entry);
  // As they are written.
  std::sort(entries.begin(), entries.end(), [](const TomlEntry* a, const TomlEntry* b) {
    return std::pair(a->position.line, a->position.column) <
           std::pair(b->position.line, b->position.column);
  });
  for (const TomlEntry* entry : entries) {
    const bool good =
        !entry->key.empty() && std::all_of(entry->key.begin(), entry->key.end(), [](char c) {
          return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
        });
    if (!good || IsOwnHeader(entry->key)) {
      diagnostics->Add(entry->position,
                       absl::StrCat("header \"", entry->key, "\" ",
                                    good ? "is the protocol's own; remove it"
                                         : "is not letters, digits and hyphens; write one as "
                                           "{ \"X-Auth-Key\" = \"secret\" }"));
      continue;
    }
    std::string value;
    if (TableReader::ReadText(entry->value, "the value of a header", false, diagnostics, &value)) {
      headers->emplace_back(entry->key, std::move(value));
    }
  }
}

}  // namespace

void ParseAuthHttpLookup(TableReader* reader, const std::string& file_name,
                         Diagnostics* diagnostics, Lookup* lookup) {
  routing::AuthHttpOptions options;
  std::vector<LocatedText> urls;
  bool tls = false;
  bool unreadable = false;
  if (!reader->Has("urls")) reader->Missing("urls", "urls = [\"http://127.0.0.1:9000/auth\"]");
  if (reader->Strings("urls", &urls)) {
    for (const LocatedText& text : urls) {
      Url url;
      if (ReadUrl(text.text, &url, &tls)) {
        options.urls.push_back(std::move(url));
        continue;
      }
      unreadable = true;
      diagnostics->Add(text.position,
                       absl::StrCat("\"", text.text, "\" is no URL of a service", kUrlExamples));
    }
    if (urls.empty()) {
      diagnostics->Add(reader->At("urls"),
                       "urls is empty; write urls = [\"http://127.0.0.1:9000/auth\"]");
    }
  }
  reader->Bool("strict", &options.rules.strict);
  reader->Word<bool>("decode", {{"off", false}, {"percent", true}}, &options.rules.percent);
  ReadHeaders(reader, diagnostics, &options.headers);
  if (reader->String("ca", &options.ca_file)) {
    options.ca_file = ResolvePath(file_name, options.ca_file);
    lookup->files.push_back(options.ca_file);
    if (!tls && !unreadable) {
      diagnostics->Add(reader->At("ca"),
                       "ca means nothing where no URL begins with https://; remove it");
    }
  }
  lookup->traits.judges_credentials = true;
  lookup->traits.judges_digests = true;
  lookup->traits.sees_client = true;
  lookup->make = [options = std::move(options)] { return routing::MakeAuthHttpSource(options); };
}

#else

void ParseAuthHttpLookup(TableReader* reader, const std::string&, Diagnostics*, Lookup*) {
  reader->Add(reader->At("type"),
              "this postern was built without auth_http; build it with -DPOSTERN_AUTH_HTTP=ON, "
              "which needs libcurl");
}

#endif

}  // namespace postern::config
