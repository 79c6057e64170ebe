// One [[lookup]] table, read and judged.
#ifndef POSTERN_PROXY_CONFIG_LOOKUP_H_
#define POSTERN_PROXY_CONFIG_LOOKUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "proxy/base/ip_network.h"
#include "routing/lookup/ldap_source.h"
#include "routing/lookup/lookup_options.h"
#include "routing/lookup/mysql_source.h"
#include "routing/lookup/policy_source.h"
#include "routing/lookup/postgresql_source.h"
#include "routing/lookup/redis_source.h"

namespace postern::config {

struct Lookup {
  std::string type;
  routing::LookupOptions options;
  routing::LookupTraits traits;  // what the type is like
  // Makes its source, for one thread; null for those that are made from `server`, which needs more
  // than a configuration.
  routing::LookupFactory make;
  std::variant<std::monostate, std::shared_ptr<routing::PostgresqlOptions>,
               std::shared_ptr<routing::MysqlOptions>, std::shared_ptr<routing::LdapOptions>,
               std::shared_ptr<routing::RedisOptions>, std::shared_ptr<routing::PolicyOptions>>
      server;
  // Addresses that an answer may lead to; empty: any but those that are no server's.
  std::vector<IpNetwork> networks;
  // That the source will read: they are looked at before a configuration is taken into use.
  std::vector<std::string> files;
  std::string password_file;  // that it shows its server; empty: none
  // Of everything that is written in the table: a reload that changes nothing here keeps what is
  // remembered and connected.
  uint64_t fingerprint = 0;
  int line = 0;

  // Whether this program was built with the type.
  bool built() const { return make != nullptr || server.index() != 0; }
};

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_LOOKUP_H_
