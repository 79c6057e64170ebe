// Asks PostgreSQL, by libpq, with an operator's query that is prepared once on each connection.
#ifndef POSTERN_ROUTING_LOOKUP_POSTGRESQL_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_POSTGRESQL_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/secret.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "routing/lookup/server_source.h"
#include "routing/lookup/source.h"

namespace postern::routing {

struct PostgresqlOptions {
  // In the order in which they are tried. A unix socket is named whole, as
  // "/run/postgresql/.s.PGSQL.5432".
  std::vector<HostPort> servers;
  LookupTls tls;
  std::string database;
  std::string user;
  std::string password_file;  // empty: none; read by whoever makes the source ...
  Secret password;            // ... into this
  // $1 is the user, $2 its local part, $3 its domain ('' without one), all text. Gives the column
  // `target` and may give `login_user` and `login_secret`.
  std::string query;
  // After which the server gives a query up; 0: not asked for, as a pooler may want it.
  DurationNs statement_timeout = 0;
};

// `options` is copied, the password too.
std::unique_ptr<LookupSource> MakePostgresqlSource(const PostgresqlOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_POSTGRESQL_SOURCE_H_
