#include "proxy/lookup_source_maker.h"

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/secrets.h"
#include "proxy/lookup_tls_stream.h"
#ifdef POSTERN_AUTH_HTTP
#include "routing/lookup/auth_http_source.h"
#endif

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

std::string NameOf(const std::string& uri) { return uri; }
std::string NameOf(const routing::HttpUrl& url) { return url.Name(); }
std::string NameOf(const HostPort& server) {
  if (server.is_unix()) return absl::StrCat("unix:", server.unix_path);
  const bool v6 = server.host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", server.host, v6 ? "]" : "", ":", server.port);
}

// Which of a type's options are its servers.
std::vector<HostPort>* ServersOf(routing::SqlOptions* options) { return &options->servers; }
std::vector<HostPort>* ServersOf(routing::RedisOptions* options) { return &options->servers; }
std::vector<std::string>* ServersOf(routing::LdapOptions* options) { return &options->uris; }
std::vector<routing::HttpUrl>* ServersOf(routing::PolicyOptions* options) { return &options->urls; }

// One source for each server. The options cannot be copied, because of their secret, and a source
// copies what it needs when it is made: it finds one server in them.
struct Parter {
  routing::LookupFactory make;

  std::vector<LookupServer> operator()(const std::monostate&) const { return {}; }
  template <typename Options>
  std::vector<LookupServer> operator()(const std::shared_ptr<Options>& options) const {
    std::vector<LookupServer> parts;
    const auto one_at_a_time = std::make_shared<std::mutex>();
    for (size_t i = 0; i < ServersOf(options.get())->size(); ++i) {
      auto alone = [options, i, one_at_a_time, make = make] {
        const std::lock_guard<std::mutex> lock(*one_at_a_time);
        auto* servers = ServersOf(options.get());
        const auto all = *servers;
        *servers = {all[i]};
        std::unique_ptr<routing::LookupSource> source = make();
        *servers = all;
        return source;
      };
      parts.push_back({NameOf((*ServersOf(options.get()))[i]), std::move(alone)});
    }
    return parts;
  }
};

}  // namespace

absl::StatusOr<std::vector<LookupServer>> PrepareLookupServers(const config::Lookup& lookup) {
#ifdef POSTERN_AUTH_HTTP
  if (const auto* whole = lookup.make.target<routing::AuthHttpFactory>()) {
    std::vector<LookupServer> parts;
    for (const routing::HttpUrl& url : whole->options.urls) {
      routing::AuthHttpFactory alone = *whole;
      alone.options.urls = {url};
      parts.push_back({NameOf(url), std::move(alone)});
    }
    return parts;
  }
#endif
  ASSIGN_OR_RETURN(routing::LookupFactory make, PrepareLookup(lookup));
  return std::visit(Parter{std::move(make)}, lookup.server);
}

absl::StatusOr<routing::LookupFactory> PrepareLookup(const config::Lookup& lookup) {
  if (lookup.make != nullptr) return lookup.make;
  return std::visit(Preparer(), lookup.server);
}

}  // namespace postern
