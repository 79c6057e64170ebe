// Asks MySQL or MariaDB, by libmariadb, with an operator's query that is prepared once on each
// connection.
#ifndef POSTERN_ROUTING_LOOKUP_MYSQL_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_MYSQL_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "proxy/base/socket_address.h"
#include "routing/lookup/server_source.h"
#include "routing/lookup/source.h"

namespace postern::routing {

struct MysqlOptions {
  std::vector<HostPort> servers;  // in the order in which they are tried
  LookupTls tls;
  std::string database;
  std::string user;
  std::string password_file;  // empty: none; read by whoever makes the source ...
  Secret password;            // ... into this
  // $1 is the user, $2 its local part, $3 its domain ('' without one). Gives the column `target`
  // and may give `login_user` and `login_secret`.
  std::string query;
};

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
