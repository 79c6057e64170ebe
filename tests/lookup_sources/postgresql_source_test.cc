#include "routing/lookup/postgresql_source.h"

#include <glob.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/lookup_sources/real_server.h"
#include "tests/lookup_sources/source_contract.h"
#include "tests/tls/test_certificates.h"

namespace postern::routing::testing {
namespace {

constexpr char kServerUser[] = "postgres";
constexpr char kQuery[] =
    "SELECT target, login_user, login_secret FROM users WHERE name = $1 AND "
    "($1 <> 'slow' OR pg_sleep(60) IS NOT NULL)";
constexpr char kData[] =
    "CREATE TABLE users (name text, target text, login_user text, login_secret text);"
    "INSERT INTO users VALUES ('alice@example.org', 'mail1', NULL, NULL),"
    " ('bob@example.org', 'mail2', 'bobby', 's3cret bob'), ('carol@example.org', NULL, NULL, NULL),"
    " ('twice@example.org', 'mail1', NULL, NULL), ('twice@example.org', 'mail2', NULL, NULL),"
    " ('slow', 'mail1', NULL, NULL), ('odd', E'mail\\n1', NULL, NULL);"
    "CREATE ROLE postern LOGIN PASSWORD 'correct horse 7'; GRANT SELECT ON users TO postern;";

// Where Debian keeps the server's programs, which are in nobody's PATH.
std::string Program(const std::string& name) {
  glob_t found{};
  glob(absl::StrCat("/usr/lib/postgresql/*/bin/", name).c_str(), 0, nullptr, &found);
  const std::string path = found.gl_pathc == 0 ? name : found.gl_pathv[found.gl_pathc - 1];
  globfree(&found);
  return path;
}

struct World {
  World() : directory(kServerUser), authority("PostgreSQL's CA"), port(FreePort()) {
    signal(SIGPIPE, SIG_IGN);
    const std::string data = directory.path() + "/data";
    RunProgram({Program("initdb"), "-D", data, "-U", "postgres", "--auth-local=trust",
                "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"},
               kServerUser);
    tls::testing::CertificateSpec spec;
    spec.ip_addresses = {"127.0.0.1"};
    const tls::testing::PemPair pair = authority.Issue(spec);
    const std::string chain = directory.Write("chain.pem", pair.chain);
    const std::string key = directory.Write("key.pem", pair.key);
    ca_file = here.Write("ca.pem", authority.pem());
    server = std::make_unique<RealServer>(
        std::vector<std::string>{Program("postgres"), "-D", data, "-k", directory.path(), "-p",
                                 absl::StrCat(port), "-c", "listen_addresses=127.0.0.1", "-c",
                                 "fsync=off", "-c", "ssl=on", "-c", "ssl_cert_file=" + chain, "-c",
                                 "ssl_key_file=" + key},
        kServerUser, here.path() + "/log");
    Start();
    RunProgram({Program("psql"), "-q", "-X", "-v", "ON_ERROR_STOP=1", "-h", directory.path(), "-p",
                absl::StrCat(port), "-U", "postgres", "postgres"},
               kServerUser, kData);
  }

  void Start() {
    // It listens before it lets anybody in.
    server->Start([this] {
      return Succeeds(
          {Program("pg_isready"), "-q", "-h", directory.path(), "-p", absl::StrCat(port)},
          kServerUser);
    });
  }
  std::string socket() const { return absl::StrCat(directory.path(), "/.s.PGSQL.", port); }

  PostgresqlOptions Options() const {
    PostgresqlOptions options;
    options.servers = {Local(port)};
    options.database = "postgres";
    options.user = "postern";
    options.password = Secret(kPassword);
    options.query = kQuery;
    return options;
  }

  ServerDirectory directory;
  tls::testing::TestDirectory here;
  tls::testing::CertificateAuthority authority;
  std::string ca_file;
  const uint16_t port;
  std::unique_ptr<RealServer> server;
};

class PostgresqlSourceTest : public WithServer<World> {
 protected:
  static std::unique_ptr<LookupSource> Source() { return MakePostgresqlSource(world_->Options()); }
};

TEST_F(PostgresqlSourceTest, Answers) {
  const auto source = Source();
  ExpectAnswers(source.get());
  ExpectSeveral(source.get());
  const LookupAnswer odd = AskFor(source.get(), "odd");
  EXPECT_EQ(odd.kind, Kind::kTemporary);
  EXPECT_EQ(odd.detail, "PostgreSQL: the target holds a control character");
}

TEST_F(PostgresqlSourceTest, NamesAreNeverPartOfTheQuery) { ExpectNoInjection(Source().get()); }

TEST_F(PostgresqlSourceTest, LocalPartAndDomain) {
  PostgresqlOptions options = world_->Options();
  options.query = "SELECT $2 || '-' || $3 AS target WHERE $1 <> ''";
  EXPECT_EQ(AskFor(MakePostgresqlSource(options).get(), "a@b@c.org").target, "a@b-c.org");
  EXPECT_EQ(AskFor(MakePostgresqlSource(options).get(), "local").target, "local-");
  options.query = "SELECT $3::text AS target";
  EXPECT_EQ(AskFor(MakePostgresqlSource(options).get(), "a@c.org").target, "c.org");
}

TEST_F(PostgresqlSourceTest, UnixSocket) {
  PostgresqlOptions options = world_->Options();
  options.servers = {UnixSocket(world_->socket())};
  ExpectAlice(MakePostgresqlSource(options).get());
}

TEST_F(PostgresqlSourceTest, Tls) {
  PostgresqlOptions options = world_->Options();
  options.tls.on = true;
  options.tls.ca_file = world_->ca_file;
  ExpectAlice(MakePostgresqlSource(options).get());
  options.servers[0].host = "localhost";
  ExpectFailure(MakePostgresqlSource(options).get(), "does not match host name");
  options.servers[0].host = "127.0.0.1";
  options.tls.ca_file.clear();
  ExpectFailure(MakePostgresqlSource(options).get(), "certificate verify failed");
  options.tls.insecure = true;
  ExpectAlice(MakePostgresqlSource(options).get());
}

TEST_F(PostgresqlSourceTest, QueriesThatAreWrong) {
  PostgresqlOptions options = world_->Options();
  options.query = "SELECT host FROM users WHERE name = $1";
  ExpectFailure(MakePostgresqlSource(options).get(),
                "the query cannot be prepared: ERROR:  column 'host' does not exist");
  options.query = "SELECT name FROM users WHERE name = $1";
  ExpectFailure(MakePostgresqlSource(options).get(), "the query gives no column named target");
  options.query = "SELECT 1/0 AS target WHERE $1 <> ''";
  ExpectFailure(MakePostgresqlSource(options).get(), "division by zero");
}

TEST_F(PostgresqlSourceTest, AWrongPassword) {
  PostgresqlOptions options = world_->Options();
  options.password = Secret("correct horse 77");
  ExpectFailure(MakePostgresqlSource(options).get(), "password authentication failed");
}

TEST_F(PostgresqlSourceTest, ASlowQueryMeetsItsDeadline) {
  const auto source = Source();
  ExpectAlice(source.get());
  const LookupAnswer slow = AskFor(source.get(), "slow", std::chrono::seconds(2));
  EXPECT_EQ(slow.kind, Kind::kTemporary);
  EXPECT_EQ(slow.detail, "PostgreSQL: no answer in time");
  ExpectAlice(source.get());
  PostgresqlOptions options = world_->Options();
  options.statement_timeout = 100 * kMillisecond;
  const LookupAnswer cancelled = AskFor(MakePostgresqlSource(options).get(), "slow");
  EXPECT_EQ(cancelled.kind, Kind::kTemporary);
  EXPECT_THAT(cancelled.detail,
              ::testing::HasSubstr("canceling statement due to statement timeout"));
}

TEST_F(PostgresqlSourceTest, AFrozenServerMeetsTheDeadline) {
  const auto source = Source();
  ExpectAlice(source.get());
  const auto fresh = Source();
  world_->server->Freeze();
  ExpectFailure(source.get(), "no answer in time", std::chrono::seconds(2));
  ExpectFailure(fresh.get(), "connecting took too long", std::chrono::seconds(2));
  world_->server->Thaw();
  ExpectAlice(source.get());
  ExpectAlice(fresh.get());
}

TEST_F(PostgresqlSourceTest, ARestartIsMended) {
  const auto source = Source();
  ExpectAlice(source.get());
  world_->server->Kill();
  ExpectFailure(source.get(), "refused");
  world_->Start();
  ExpectAlice(source.get());
}

TEST_F(PostgresqlSourceTest, AnIdleConnectionThatBrokeIsMadeAnew) {
  const auto source = Source();
  ExpectAlice(source.get());
  RunProgram({Program("psql"), "-q", "-X", "-h", world_->directory.path(), "-p",
              absl::StrCat(world_->port), "-U", "postgres", "postgres"},
             kServerUser,
             "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = "
             "'postern';");
  ExpectAlice(source.get());
}

TEST_F(PostgresqlSourceTest, TheNextServerIsAsked) {
  FakeServer silent("");
  PostgresqlOptions options = world_->Options();
  options.servers = {Local(FreePort()), silent.address(), Local(world_->port)};
  const auto source = MakePostgresqlSource(options);
  ExpectTheNextIsAsked(source.get(), silent);
}

TEST_F(PostgresqlSourceTest, Garbage) {
  FakeServer web("HTTP/1.1 400 Bad Request\r\n\r\n");
  PostgresqlOptions options = world_->Options();
  options.servers = {web.address()};
  ExpectFailure(MakePostgresqlSource(options).get(), "PostgreSQL: ");
}

}  // namespace
}  // namespace postern::routing::testing
