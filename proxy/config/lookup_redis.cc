// [[lookup]] with type = "redis".
#include "absl/strings/str_cat.h"
#include "proxy/config/lookup_sources.h"
#include "routing/lookup/answer_row.h"

namespace postern::config {

void ParseRedisLookup(TableReader* reader, const std::string& file_name,
                      routing::RedisOptions* options) {
#ifndef POSTERN_REDIS
  reader->Add(reader->At("type"),
              "this postern was built without Redis; build it with POSTERN_REDIS");
#endif
  ParseLookupServers(reader, "redis1.example.net:6379", &options->servers);
  ParseLookupTls(reader, file_name, &options->tls);
  reader->String("user", &options->user);
  ParseLookupPath(reader, "password_file", file_name, &options->password_file);
  if (reader->Has("user") && !reader->Has("password_file")) {
    reader->Add(reader->At("user"), "user needs a password; write password_file");
  }
  reader->Int("database", 0, 65535, &options->database);
  ParseLookupText(reader, "key", "mail:{user}", &options->key);
  if (!options->key.empty() && !routing::PatternNamesUser(options->key)) {
    reader->Add(reader->At("key"),
                "the key does not name the user, so that all would get one answer; use {user} or "
                "{local}");
  }
  reader->String("target_field", &options->target_field);
  reader->String("login_user_field", &options->login_user_field);
  reader->String("login_secret_field", &options->login_secret_field);
  for (const char* key : {"login_user_field", "login_secret_field"}) {
    if (reader->Has(key) && !reader->Has("target_field")) {
      reader->Add(reader->At(key), absl::StrCat(key,
                                                " belongs to a hash; write target_field, too, or "
                                                "remove it"));
    }
  }
}

}  // namespace postern::config
