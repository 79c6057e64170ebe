// Reads what a [[lookup]] says about the servers that it asks; one function for each type. What all
// types have in common (name, type, timeout, ...) is read by their caller, which also calls
// Finish().
//
// Mistakes go to the reader's diagnostics. A type that this program was built without is one.
#ifndef POSTERN_PROXY_CONFIG_LOOKUP_SOURCES_H_
#define POSTERN_PROXY_CONFIG_LOOKUP_SOURCES_H_

#include <string>
#include <vector>

#include "proxy/base/socket_address.h"
#include "proxy/config/table_reader.h"
#include "routing/lookup/ldap_source.h"
#include "routing/lookup/mysql_source.h"
#include "routing/lookup/postgresql_source.h"
#include "routing/lookup/redis_source.h"

namespace postern::config {

// `file_name` is that of the configuration, for relative paths. Passwords stay in their files: who
// makes the source reads them with ReadPasswordFile().
void ParsePostgresqlLookup(TableReader* reader, const std::string& file_name,
                           routing::PostgresqlOptions* options);
void ParseMysqlLookup(TableReader* reader, const std::string& file_name,
                      routing::MysqlOptions* options);
void ParseLdapLookup(TableReader* reader, const std::string& file_name,
                     routing::LdapOptions* options);
void ParseRedisLookup(TableReader* reader, const std::string& file_name,
                      routing::RedisOptions* options);

// The parts that several types share.
// All of a database, but for what is wrong with its query. `example`: of a server.
void ParseSqlLookup(TableReader* reader, const std::string& file_name, const std::string& example,
                    routing::SqlOptions* options);
// The query would give everybody the same answer.
void AddQueryForNobody(TableReader* reader);
void ParseLookupServers(TableReader* reader, const std::string& example,
                        std::vector<HostPort>* servers);
// `tls`, `ca` and `insecure`.
void ParseLookupTls(TableReader* reader, const std::string& file_name, routing::LookupTls* tls);
void ParseLookupPath(TableReader* reader, absl::string_view key, const std::string& file_name,
                     std::string* path);
// A string that must be there.
void ParseLookupText(TableReader* reader, absl::string_view key, absl::string_view example,
                     std::string* text);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_LOOKUP_SOURCES_H_
