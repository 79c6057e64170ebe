// Asks MySQL or MariaDB, by libmariadb, with an operator's query that is prepared once on each
// connection.
#ifndef POSTERN_ROUTING_LOOKUP_MYSQL_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_MYSQL_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "routing/lookup/source.h"
#include "routing/lookup/sql_options.h"

namespace postern::routing {

struct MysqlOptions : SqlOptions {};

// A query with $1 to $3 as the protocol wants it: each replaced by "?", outside of quotes and
// comments, and which of them (1 to 3) each "?" stands for. InvalidArgument for other numbers, for
// a "?" of the operator's own, and for a quote or comment without an end.
struct MysqlQuery {
  std::string text;
  std::vector<int> parameters;
};
absl::StatusOr<MysqlQuery> TranslateQuery(absl::string_view query);

// `options` is copied, the password too; its query is one that TranslateQuery() takes.
std::unique_ptr<LookupSource> MakeMysqlSource(const MysqlOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_MYSQL_SOURCE_H_
