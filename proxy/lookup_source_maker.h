// From what a [[lookup]] says of its servers to the sources that its threads ask.
#ifndef POSTERN_PROXY_LOOKUP_SOURCE_MAKER_H_
#define POSTERN_PROXY_LOOKUP_SOURCE_MAKER_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "routing/lookup/ldap_source.h"
#include "routing/lookup/mysql_source.h"
#include "routing/lookup/postgresql_source.h"
#include "routing/lookup/redis_source.h"
#include "routing/lookup/source.h"

namespace postern {

// Makes one more source with the same options; any thread, as often as wanted.
using LookupSourceMaker = std::function<std::unique_ptr<routing::LookupSource>()>;

// Reads the password file; the error is its. The options are checked ones of proxy/config. A type
// that this program was built without is an error, too.
absl::StatusOr<LookupSourceMaker> PrepareSource(routing::PostgresqlOptions options);
absl::StatusOr<LookupSourceMaker> PrepareSource(routing::MysqlOptions options);
absl::StatusOr<LookupSourceMaker> PrepareSource(routing::LdapOptions options);
absl::StatusOr<LookupSourceMaker> PrepareSource(routing::RedisOptions options);

}  // namespace postern

#endif  // POSTERN_PROXY_LOOKUP_SOURCE_MAKER_H_
