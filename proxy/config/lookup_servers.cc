// What several types of [[lookup]] say of their servers.
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/lookup_sources.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {

void ParseLookupServers(TableReader* reader, const std::string& example,
                        std::vector<HostPort>* servers) {
  const std::string line = absl::StrCat("servers = [\"", example, "\"]");
  std::vector<LocatedText> texts;
  if (!reader->Strings("servers", &texts)) {
    if (!reader->Has("servers")) reader->Missing("servers", line);
    return;
  }
  if (texts.empty()) {
    reader->Add(reader->At("servers"), absl::StrCat("servers is empty; write ", line));
  }
  for (const LocatedText& text : texts) {
    absl::StatusOr<HostPort> server = ParseHostPort(text.text);
    std::string why;
    if (!server.ok()) {
      why = std::string(server.status().message());
    } else if (!server->is_unix() && server->port == 0) {
      why = absl::StrCat("\"", text.text, "\" has port 0");
    } else if (!server->is_unix() && !server->is_literal() && !IsDnsName(server->host)) {
      why = absl::StrCat("\"", server->host, "\" is neither a DNS name nor an IP address");
    } else {
      servers->push_back(*std::move(server));
      continue;
    }
    reader->Add(text.position, absl::StrCat("servers: ", why, "; write it as \"", example, "\""));
  }
}

void ParseLookupTls(TableReader* reader, const std::string& file_name, routing::LookupTls* tls) {
  reader->Bool("tls", &tls->on);
  ParseLookupPath(reader, "ca", file_name, &tls->ca_file);
  reader->Bool("insecure", &tls->insecure);
  for (const char* key : {"ca", "insecure"}) {
    if (reader->Has(key) && !tls->on) {
      reader->Add(reader->At(key), absl::StrCat(key,
                                                " means nothing without TLS; write tls = true "
                                                "or remove it"));
    }
  }
  if (tls->insecure && reader->Has("ca")) {
    reader->Add(reader->At("insecure"),
                "insecure verifies nothing, so that ca is of no use; keep one of the two");
  }
}

void ParseLookupPath(TableReader* reader, absl::string_view key, const std::string& file_name,
                     std::string* path) {
  if (reader->String(key, path)) *path = ResolvePath(file_name, *path);
}

void ParseSqlLookup(TableReader* reader, const std::string& file_name, const std::string& example,
                    routing::SqlOptions* options) {
  ParseLookupServers(reader, example, &options->servers);
  ParseLookupTls(reader, file_name, &options->tls);
  ParseLookupText(reader, "database", "mail", &options->database);
  ParseLookupText(reader, "user", "postern", &options->user);
  ParseLookupPath(reader, "password_file", file_name, &options->password_file);
  ParseLookupText(reader, "query", "SELECT host AS target FROM users WHERE name = $1",
                  &options->query);
}

void AddQueryForNobody(TableReader* reader) {
  reader->Add(reader->At("query"),
              "the query does not look at the user, so that all would get one answer; use $1 for "
              "the user, $2 for its local part, $3 for its domain");
}

void ParseLookupText(TableReader* reader, absl::string_view key, absl::string_view example,
                     std::string* text) {
  if (!reader->String(key, text) && !reader->Has(key)) {
    reader->Missing(key, absl::StrCat(key, " = \"", example, "\""));
  }
}

}  // namespace postern::config
