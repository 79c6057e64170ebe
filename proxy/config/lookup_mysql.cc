// [[lookup]] with type = "mysql".
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proxy/config/lookup_sources.h"

namespace postern::config {

void ParseMysqlLookup(TableReader* reader, const std::string& file_name,
                      routing::MysqlOptions* options) {
  ParseLookupServers(reader, "db1.example.net:3306", &options->servers);
  ParseLookupTls(reader, file_name, &options->tls);
  ParseLookupText(reader, "database", "mail", &options->database);
  ParseLookupText(reader, "user", "postern", &options->user);
  ParseLookupPath(reader, "password_file", file_name, &options->password_file);
  ParseLookupText(reader, "query", "SELECT host AS target FROM users WHERE name = $1",
                  &options->query);
#ifdef POSTERN_MYSQL
  if (options->query.empty()) return;
  const auto query = routing::TranslateQuery(options->query);
  if (!query.ok()) {
    reader->Add(reader->At("query"), query.status().message());
  } else if (std::none_of(query->parameters.begin(), query->parameters.end(),
                          [](int number) { return number < 3; })) {
    reader->Add(reader->At("query"),
                "the query does not look at the user, so that all would get one answer; use $1 for "
                "the user, $2 for its local part, $3 for its domain");
  }
#else
  reader->Add(reader->At("type"),
              "this postern was built without MySQL; build it with POSTERN_MYSQL");
#endif
}

}  // namespace postern::config
