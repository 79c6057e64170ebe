// What each type of [[lookup]] says of its servers.
#include "proxy/config/lookup_sources.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {
namespace {

using ::testing::HasSubstr;

// Reads `text` as one [[lookup]] would be; what is wrong with it.
template <typename Options>
std::string Read(const std::string& text, void (*parse)(TableReader*, const std::string&, Options*),
                 Options* options) {
  Diagnostics diagnostics("f");
  TomlNode root;
  EXPECT_TRUE(ParseToml(text, &root, &diagnostics)) << diagnostics.ToStatus();
  TableReader reader(root, "[[lookup]]", &diagnostics);
  parse(&reader, "etc/f", options);
  reader.Finish();
  return std::string(diagnostics.ToStatus().message());
}

constexpr char kSql[] =
    "servers = [\"db1:5432\", \"unix:/run/db\"]\ndatabase = \"mail\"\nuser = \"postern\"\n"
    "password_file = \"secret\"\ntls = true\nca = \"ca.pem\"\n";

TEST(LookupSourcesTest, Postgresql) {
  routing::PostgresqlOptions options;
  EXPECT_EQ(Read(absl::StrCat(kSql, "query = \"SELECT $1 AS target\"\nstatement_timeout = \"2s\""),
                 &ParsePostgresqlLookup, &options),
            "");
  ASSERT_EQ(options.servers.size(), 2u);
  EXPECT_EQ(options.servers[0].host, "db1");
  EXPECT_EQ(options.servers[0].port, 5432);
  EXPECT_EQ(options.servers[1].unix_path, "/run/db");
  EXPECT_TRUE(options.tls.on);
  EXPECT_EQ(options.tls.ca_file, "etc/ca.pem");
  EXPECT_EQ(options.database, "mail");
  EXPECT_EQ(options.user, "postern");
  EXPECT_EQ(options.password_file, "etc/secret");
  EXPECT_EQ(options.query, "SELECT $1 AS target");
  EXPECT_EQ(options.statement_timeout, 2 * kSecond);
}

TEST(LookupSourcesTest, Mysql) {
  routing::MysqlOptions options;
  EXPECT_EQ(
      Read(absl::StrCat(kSql, "query = \"SELECT $2 AS target\""), &ParseMysqlLookup, &options), "");
  EXPECT_EQ(options.servers.size(), 2u);
  EXPECT_EQ(options.password_file, "etc/secret");
  EXPECT_EQ(options.query, "SELECT $2 AS target");
}

TEST(LookupSourcesTest, Ldap) {
  routing::LdapOptions options;
  EXPECT_EQ(
      Read("uris = [\"ldaps://ldap1\", \"ldap://10.0.0.5:389\"]\nstart_tls = true\n"
           "ca = \"/ca.pem\"\nbind_dn = \"cn=a\"\nbind_password_file = \"p\"\nbase = \"dc=x\"\n"
           "scope = \"one\"\nfilter = \"(mail={user})\"\ntarget_attribute = \"l\"\n"
           "login_user_attribute = \"u\"\nlogin_secret_attribute = \"s\"",
           &ParseLdapLookup, &options),
      "");
  EXPECT_EQ(options.uris.size(), 2u);
  EXPECT_TRUE(options.start_tls);
  EXPECT_EQ(options.ca_file, "/ca.pem");
  EXPECT_EQ(options.bind_dn, "cn=a");
  EXPECT_EQ(options.bind_password_file, "etc/p");
  EXPECT_EQ(options.base, "dc=x");
  EXPECT_EQ(options.scope, routing::LdapScope::kOne);
  EXPECT_EQ(options.filter, "(mail={user})");
  EXPECT_EQ(options.target_attribute, "l");
  EXPECT_EQ(options.login_user_attribute, "u");
  EXPECT_EQ(options.login_secret_attribute, "s");
}

TEST(LookupSourcesTest, Redis) {
  routing::RedisOptions options;
  EXPECT_EQ(Read("servers = [\"r1:6379\"]\nuser = \"u\"\npassword_file = \"p\"\ndatabase = 2\n"
                 "key = \"m:{local}\"\ntarget_field = \"t\"\nlogin_user_field = \"a\"\n"
                 "login_secret_field = \"s\"\ntls = true\ninsecure = true",
                 &ParseRedisLookup, &options),
            "");
  EXPECT_EQ(options.servers.size(), 1u);
  EXPECT_EQ(options.user, "u");
  EXPECT_EQ(options.password_file, "etc/p");
  EXPECT_EQ(options.database, 2);
  EXPECT_EQ(options.key, "m:{local}");
  EXPECT_EQ(options.target_field, "t");
  EXPECT_EQ(options.login_user_field, "a");
  EXPECT_EQ(options.login_secret_field, "s");
  EXPECT_TRUE(options.tls.insecure);
}

TEST(LookupSourcesTest, SqlMistakes) {
  const struct {
    std::string text;
    std::string mistake;
  } cases[] = {
      {"", "has no servers; write servers = [\"db1.example.net:"},
      {"", "has no database; write database = \"mail\""},
      {"", "has no query; write query = \"SELECT"},
      {"servers = []", "1:11: servers is empty"},
      {"servers = [\"db1\"]", "1:12: servers: "},
      {"servers = [\"d_b:1\"]", "1:12: servers: \"d_b\" is neither a DNS name nor an IP address"},
      {"query = \"SELECT target FROM users\"", "1:9: the query does not look at the user"},
      {"query = \"SELECT $3\"", "1:9: the query does not look at the user"},
      {"ca = \"x\"", "1:6: ca means nothing without TLS; write tls = true"},
      {"tls = true\nca = \"x\"\ninsecure = true", "3:12: insecure verifies nothing"},
      {"pasword_file = \"x\"", "unknown key \"pasword_file\" in [[lookup]]; did you mean"},
  };
  for (const auto& c : cases) {
    routing::PostgresqlOptions postgresql;
    EXPECT_THAT(Read(c.text, &ParsePostgresqlLookup, &postgresql), HasSubstr(c.mistake));
    routing::MysqlOptions mysql;
    EXPECT_THAT(Read(c.text, &ParseMysqlLookup, &mysql), HasSubstr(c.mistake));
  }
  routing::MysqlOptions mysql;
  EXPECT_THAT(Read("query = \"SELECT ?\"", &ParseMysqlLookup, &mysql),
              HasSubstr("1:9: the query has a ?; write $1"));
}

TEST(LookupSourcesTest, LdapAndRedisMistakes) {
  routing::LdapOptions ldap;
  const std::string told = Read(
      "uris = [\"http://x\", \"ldap://\"]\nbind_dn = \"cn=a\"\nfilter = \"(mail=*)\"\n"
      "scope = \"tree\"",
      &ParseLdapLookup, &ldap);
  EXPECT_THAT(told, HasSubstr("1:9: uris: \"http://x\" is no address of a directory"));
  EXPECT_THAT(told, HasSubstr("1:21: uris: \"ldap://\" is no address"));
  EXPECT_THAT(told, HasSubstr("2:11: bind_dn needs a password; write bind_password_file"));
  EXPECT_THAT(told, HasSubstr("3:10: the filter does not look at the user"));
  EXPECT_THAT(told, HasSubstr("4:9: scope = \"tree\" is not one of \"sub\", \"one\", \"base\""));
  EXPECT_THAT(told, HasSubstr("has no base; write base = "));
  EXPECT_THAT(Read("bind_password_file = \"x\"", &ParseLdapLookup, &ldap),
              HasSubstr("1:22: bind_password_file means nothing without bind_dn"));
  routing::RedisOptions redis;
  const std::string of_redis =
      Read("user = \"u\"\nkey = \"mail\"\nlogin_user_field = \"a\"", &ParseRedisLookup, &redis);
  EXPECT_THAT(of_redis, HasSubstr("1:8: user needs a password; write password_file"));
  EXPECT_THAT(of_redis, HasSubstr("2:7: the key does not name the user"));
  EXPECT_THAT(of_redis, HasSubstr("3:20: login_user_field belongs to a hash"));
}

}  // namespace
}  // namespace postern::config
