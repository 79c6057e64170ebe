#include "proxy/lookup_source_maker.h"

#include <memory>
#include <string>
#include <type_traits>
#include <variant>

#include "proxy/base/status_macros.h"
#include "proxy/config/secrets.h"
#include "proxy/lookup_tls_stream.h"

namespace postern {
namespace {

using Factory = absl::StatusOr<routing::LookupFactory>;

// A factory must be copyable, and a Secret is not: the options are shared.
template <typename Options, typename Make>
Factory Prepare(const std::shared_ptr<Options>& options, const std::string& password_file,
                Secret std::type_identity_t<Options>::*password, Make make) {
  if (!password_file.empty()) {
    ASSIGN_OR_RETURN((*options).*password, config::ReadPasswordFile(password_file));
  }
  return routing::LookupFactory(
      [shared = std::shared_ptr<const Options>(options), make] { return make(*shared); });
}

// One for each type; those that this program was built without never come here.
struct Preparer {
  Factory operator()(const std::monostate&) const {
    return absl::UnimplementedError("this postern was built without this type of lookup");
  }
  Factory operator()(const std::shared_ptr<routing::PostgresqlOptions>& options) const {
#ifdef POSTERN_POSTGRESQL
    return Prepare(options, options->password_file, &routing::PostgresqlOptions::password,
                   &routing::MakePostgresqlSource);
#else
    return (*this)(std::monostate());
#endif
  }
  Factory operator()(const std::shared_ptr<routing::MysqlOptions>& options) const {
#ifdef POSTERN_MYSQL
    return Prepare(options, options->password_file, &routing::MysqlOptions::password,
                   &routing::MakeMysqlSource);
#else
    return (*this)(std::monostate());
#endif
  }
  Factory operator()(const std::shared_ptr<routing::LdapOptions>& options) const {
#ifdef POSTERN_LDAP
    return Prepare(options, options->bind_password_file, &routing::LdapOptions::bind_password,
                   &routing::MakeLdapSource);
#else
    return (*this)(std::monostate());
#endif
  }
  Factory operator()(const std::shared_ptr<routing::RedisOptions>& options) const {
#ifdef POSTERN_REDIS
    options->wrap = TlsWrapper(options->tls);
    return Prepare(options, options->password_file, &routing::RedisOptions::password,
                   &routing::MakeRedisSource);
#else
    return (*this)(std::monostate());
#endif
  }
  Factory operator()(
      [[maybe_unused]] const std::shared_ptr<routing::PolicyOptions>& options) const {
#ifdef POSTERN_AUTH_HTTP
    return Prepare(options, options->secret_file, &routing::PolicyOptions::secret,
                   &routing::MakePolicySource);
#else
    return (*this)(std::monostate());
#endif
  }
};

}  // namespace

absl::StatusOr<routing::LookupFactory> PrepareLookup(const config::Lookup& lookup) {
  if (lookup.make != nullptr) return lookup.make;
  return std::visit(Preparer(), lookup.server);
}

}  // namespace postern
