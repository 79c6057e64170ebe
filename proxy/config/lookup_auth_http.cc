// The keys of type = "auth_http".
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/http_urls.h"
#include "proxy/config/lookups.h"
#ifdef POSTERN_AUTH_HTTP
#include "routing/lookup/auth_http_source.h"
#endif

namespace postern::config {

#ifdef POSTERN_AUTH_HTTP

namespace {

// Names that the protocol itself has, or that belong to the transport.
bool IsOwnHeader(absl::string_view name) {
  for (const absl::string_view own : {"Auth-Method",
                                      "Auth-User",
                                      "Auth-Pass",
                                      "Auth-Salt",
                                      "Auth-Protocol",
                                      "Auth-Login-Attempt",
                                      "Client-IP",
                                      "Auth-SSL",
                                      "Auth-SSL-Protocol",
                                      "Auth-SSL-Cipher",
                                      "Auth-SSL-Verify",
                                      "Auth-SSL-Subject",
                                      "Auth-SSL-Issuer",
                                      "Auth-SSL-Serial",
                                      "Auth-SSL-Fingerprint",
                                      "Auth-SSL-Cert",
                                      "Proxy-Protocol-Addr",
                                      "Proxy-Protocol-Port",
                                      "Proxy-Protocol-Server-Addr",
                                      "Proxy-Protocol-Server-Port",
                                      "Host",
                                      "Connection",
                                      "Content-Length",
                                      "Transfer-Encoding",
                                      "Expect",
                                      "Upgrade"}) {
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
  ReadHttpUrls(reader, file_name, diagnostics, "http://127.0.0.1:9000/auth", &options.urls,
               &options.ca_file);
  if (!options.ca_file.empty()) lookup->files.push_back(options.ca_file);
  reader->Bool("strict", &options.rules.strict);
  reader->Word<bool>("decode", {{"off", false}, {"percent", true}}, &options.rules.percent);
  reader->Bool("pass_client_certificate", &options.extras.client_certificate);
  ReadHeaders(reader, diagnostics, &options.extras.headers);
  lookup->traits.judges_credentials = true;
  lookup->traits.judges_digests = true;
  lookup->traits.sees_client = true;
  lookup->make = routing::AuthHttpFactory{std::move(options)};
}

#else

void ParseAuthHttpLookup(TableReader* reader, const std::string&, Diagnostics*, Lookup*) {
  reader->Add(reader->At("type"),
              "this postern was built without auth_http; build it with -DPOSTERN_AUTH_HTTP=ON, "
              "which needs libcurl");
}

#endif

}  // namespace postern::config
