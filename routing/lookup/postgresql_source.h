// Asks PostgreSQL, by libpq, with an operator's query that is prepared once on each connection.
#ifndef POSTERN_ROUTING_LOOKUP_POSTGRESQL_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_POSTGRESQL_SOURCE_H_

#include <memory>

#include "proxy/base/time.h"
#include "routing/lookup/source.h"
#include "routing/lookup/sql_options.h"

namespace postern::routing {

struct PostgresqlOptions : SqlOptions {
  // After which the server gives a query up; 0: not asked for, as a pooler may want it.
  DurationNs statement_timeout = 0;
};

// `options` is copied, the password too.
std::unique_ptr<LookupSource> MakePostgresqlSource(const PostgresqlOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_POSTGRESQL_SOURCE_H_
