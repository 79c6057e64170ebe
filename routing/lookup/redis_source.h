// Asks Redis or Valkey: GET of a key, or fields of a hash. hiredis makes and reads the protocol
// (RESP2); connections and deadlines are ours.
#ifndef POSTERN_ROUTING_LOOKUP_REDIS_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_REDIS_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/secret.h"
#include "proxy/base/socket_address.h"
#include "routing/lookup/byte_stream.h"
#include "routing/lookup/server_source.h"
#include "routing/lookup/source.h"

namespace postern::routing {

struct RedisOptions {
  std::vector<HostPort> servers;  // in the order in which they are tried
  std::string user;               // of Redis' access lists; empty: the default user
  std::string password_file;      // empty: none; read by whoever makes the source ...
  Secret password;                // ... into this
  int database = 0;
  std::string key;  // with {user}, {local}, {domain}: "mail:{user}"
  // Empty: the value of `key` is the target. Else `key` is a hash and these are its fields.
  std::string target_field;
  std::string login_user_field;    // empty: none
  std::string login_secret_field;  // empty: none
  LookupTls tls;
  StreamWrapper wrap;  // speaks TLS as `tls` says; null without
};

// A key or field that does not exist is kUnknown; an empty value, as the target, kForbidden. An
// error of the server sends us to the next one. `options` is copied, the password too.
std::unique_ptr<LookupSource> MakeRedisSource(const RedisOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_REDIS_SOURCE_H_
