#include "proxy/lookup_source_maker.h"

#include <string>
#include <utility>

#include "proxy/base/status_macros.h"
#include "proxy/config/secrets.h"
#include "proxy/lookup_tls_stream.h"

namespace postern {
namespace {

// The std::function of the result must be copyable, and a Secret is not.
template <typename Options, typename Make>
absl::StatusOr<LookupSourceMaker> Prepare(Options options, const std::string& password_file,
                                          Secret Options::*password, Make make) {
  if (!password_file.empty()) {
    ASSIGN_OR_RETURN(options.*password, config::ReadPasswordFile(password_file));
  }
  auto shared = std::make_shared<const Options>(std::move(options));
  return LookupSourceMaker([shared, make] { return make(*shared); });
}

#if !defined(POSTERN_POSTGRESQL) || !defined(POSTERN_MYSQL) || !defined(POSTERN_LDAP) || \
    !defined(POSTERN_REDIS)
absl::StatusOr<LookupSourceMaker> NotBuilt() {
  return absl::UnimplementedError("this postern was built without this type of lookup");
}
#endif

}  // namespace

absl::StatusOr<LookupSourceMaker> PrepareSource(routing::PostgresqlOptions options) {
#ifdef POSTERN_POSTGRESQL
  const std::string file = options.password_file;
  return Prepare(std::move(options), file, &routing::PostgresqlOptions::password,
                 &routing::MakePostgresqlSource);
#else
  return NotBuilt();
#endif
}

absl::StatusOr<LookupSourceMaker> PrepareSource(routing::MysqlOptions options) {
#ifdef POSTERN_MYSQL
  const std::string file = options.password_file;
  return Prepare(std::move(options), file, &routing::MysqlOptions::password,
                 &routing::MakeMysqlSource);
#else
  return NotBuilt();
#endif
}

absl::StatusOr<LookupSourceMaker> PrepareSource(routing::LdapOptions options) {
#ifdef POSTERN_LDAP
  const std::string file = options.bind_password_file;
  return Prepare(std::move(options), file, &routing::LdapOptions::bind_password,
                 &routing::MakeLdapSource);
#else
  return NotBuilt();
#endif
}

absl::StatusOr<LookupSourceMaker> PrepareSource(routing::RedisOptions options) {
#ifdef POSTERN_REDIS
  options.wrap = TlsWrapper(options.tls);
  const std::string file = options.password_file;
  return Prepare(std::move(options), file, &routing::RedisOptions::password,
                 &routing::MakeRedisSource);
#else
  return NotBuilt();
#endif
}

}  // namespace postern
