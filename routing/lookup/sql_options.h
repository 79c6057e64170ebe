// What an operator says of a database, whichever it is.
#ifndef POSTERN_ROUTING_LOOKUP_SQL_OPTIONS_H_
#define POSTERN_ROUTING_LOOKUP_SQL_OPTIONS_H_

#include <string>
#include <vector>

#include "proxy/base/secret.h"
#include "proxy/base/socket_address.h"
#include "routing/lookup/server_source.h"

namespace postern::routing {

struct SqlOptions {
  // In the order in which they are tried. A unix socket of PostgreSQL is named whole, as
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
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_SQL_OPTIONS_H_
