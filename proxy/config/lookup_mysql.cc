// [[lookup]] with type = "mysql".
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proxy/config/lookup_sources.h"

namespace postern::config {

void ParseMysqlLookup(TableReader* reader, const std::string& file_name,
                      routing::MysqlOptions* options) {
  ParseSqlLookup(reader, file_name, "db1.example.net:3306", options);
#ifdef POSTERN_MYSQL
  if (options->query.empty()) return;
  const auto query = routing::TranslateQuery(options->query);
  if (!query.ok()) {
    reader->Add(reader->At("query"), query.status().message());
  } else if (std::none_of(query->parameters.begin(), query->parameters.end(),
                          [](int number) { return number < 3; })) {
    AddQueryForNobody(reader);
  }
#else
  reader->Add(reader->At("type"),
              "this postern was built without MySQL; build it with POSTERN_MYSQL");
#endif
}

}  // namespace postern::config
