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
  ParseSqlLookup(reader, file_name, "db1.example.net:5432", options);
  if (!options->query.empty() && !absl::StrContains(options->query, "$1") &&
      !absl::StrContains(options->query, "$2")) {
    AddQueryForNobody(reader);
  }
  reader->Duration("statement_timeout", 0, 3600 * kSecond, &options->statement_timeout);
}

}  // namespace postern::config
