// [[lookup]] with type = "postgresql".
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/lookup_sources.h"

namespace postern::config {

void ParsePostgresqlLookup(TableReader* reader, const std::string& file_name,
                           routing::PostgresqlOptions* options) {
#ifndef POSTERN_POSTGRESQL
  reader->Add(reader->At("type"),
              "this postern was built without PostgreSQL; build it with POSTERN_POSTGRESQL");
#endif
  ParseLookupServers(reader, "db1.example.net:5432", &options->servers);
  ParseLookupTls(reader, file_name, &options->tls);
  ParseLookupText(reader, "database", "mail", &options->database);
  ParseLookupText(reader, "user", "postern", &options->user);
  ParseLookupPath(reader, "password_file", file_name, &options->password_file);
  ParseLookupText(reader, "query", "SELECT host AS target FROM users WHERE name = $1",
                  &options->query);
  if (!options->query.empty() && !absl::StrContains(options->query, "$1") &&
      !absl::StrContains(options->query, "$2")) {
    reader->Add(reader->At("query"),
                "the query does not look at the user, so that all would get one answer; use $1 for "
                "the user, $2 for its local part, $3 for its domain");
  }
  reader->Duration("statement_timeout", 0, 3600 * kSecond, &options->statement_timeout);
}

}  // namespace postern::config
