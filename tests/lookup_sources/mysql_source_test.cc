#include "routing/lookup/mysql_source.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/lookup_sources/real_server.h"
#include "tests/lookup_sources/source_contract.h"
#include "tests/tls/test_certificates.h"

namespace postern::routing::testing {
namespace {

constexpr char kServerUser[] = "mysql";
constexpr char kQuery[] =
    "SELECT target, login_user, login_secret FROM users WHERE name = $1 AND "
    "($1 <> 'slow' OR SLEEP(60) = 0)";
constexpr char kData[] =
    "CREATE DATABASE mail CHARACTER SET utf8mb4; USE mail;\n"
    "CREATE TABLE users (name varchar(320), target varchar(64), login_user varchar(64),"
    " login_secret varchar(64));\n"
    "INSERT INTO users VALUES ('alice@example.org', 'mail1', NULL, NULL),"
    " ('bob@example.org', 'mail2', 'bobby', 's3cret bob'), ('carol@example.org', NULL, NULL, NULL),"
    " ('twice@example.org', 'mail1', NULL, NULL), ('twice@example.org', 'mail2', NULL, NULL),"
    " ('slow', 'mail1', NULL, NULL), ('odd', 'mail\\n1', NULL, NULL);\n"
    "CREATE USER postern@'%' IDENTIFIED BY 'correct horse 7'; GRANT SELECT ON mail.* TO "
    "postern@'%';";

struct World {
  World() : directory(kServerUser), authority("MySQL's CA"), port(FreePort()) {
    signal(SIGPIPE, SIG_IGN);
    const std::string data = directory.path() + "/data";
    RunProgram({"mariadb-install-db", "--no-defaults", "--datadir=" + data, "--skip-test-db",
                "--auth-root-authentication-method=normal", "--innodb-flush-method=nosync"},
               kServerUser);
    tls::testing::CertificateSpec spec;
    spec.ip_addresses = {"127.0.0.1"};
    spec.dns_names = {"db.example.net"};
    spec.common_name = "db.example.net";
    const tls::testing::PemPair pair = authority.Issue(spec);
    const std::string chain = directory.Write("chain.pem", pair.chain);
    const std::string key = directory.Write("key.pem", pair.key);
    ca_file = here.Write("ca.pem", authority.pem());
    server = std::make_unique<RealServer>(
        std::vector<std::string>{
            "mariadbd", "--no-defaults", "--datadir=" + data, "--socket=" + socket(),
            absl::StrCat("--port=", port), "--bind-address=127.0.0.1",
            "--pid-file=" + data + "/pid", "--skip-name-resolve", "--innodb-flush-method=nosync",
            "--innodb-buffer-pool-size=8M", "--ssl-cert=" + chain, "--ssl-key=" + key},
        kServerUser, here.path() + "/log");
    Start();
    RunProgram({"mariadb", "--no-defaults", "--socket=" + socket(), "--user=root"}, kServerUser,
               kData);
  }

  void Start() {
    // The socket comes after the port.
    server->Start([this] { return Listens(port) && ListensAt(socket()); });
  }
  std::string socket() const { return directory.path() + "/socket"; }

  MysqlOptions Options() const {
    MysqlOptions options;
    options.servers = {Local(port)};
    options.database = "mail";
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

class MysqlSourceTest : public WithServer<World> {
 protected:
  static std::unique_ptr<LookupSource> Source() { return MakeMysqlSource(world_->Options()); }
};

TEST_F(MysqlSourceTest, Answers) {
  const auto source = Source();
  ExpectAnswers(source.get());
  ExpectSeveral(source.get());
  const LookupAnswer odd = AskFor(source.get(), "odd");
  EXPECT_EQ(odd.kind, Kind::kTemporary);
  EXPECT_EQ(odd.detail, "MySQL: the target holds a control character");
}

TEST_F(MysqlSourceTest, NamesAreNeverPartOfTheQuery) { ExpectNoInjection(Source().get()); }

TEST_F(MysqlSourceTest, LocalPartAndDomain) {
  MysqlOptions options = world_->Options();
  options.query = "SELECT CONCAT($2, '-$1-', $3) AS target FROM DUAL WHERE $1 <> ''";
  EXPECT_EQ(AskFor(MakeMysqlSource(options).get(), "a@b@c.org").target, "a@b-$1-c.org");
  EXPECT_EQ(AskFor(MakeMysqlSource(options).get(), "local").target, "local-$1-");
  options.query = "SELECT REPEAT('x', 5000) AS target FROM DUAL WHERE $1 <> ''";
  ExpectFailure(MakeMysqlSource(options).get(), "the target is longer than 512 bytes");
}

TEST_F(MysqlSourceTest, UnixSocket) {
  MysqlOptions options = world_->Options();
  options.servers = {UnixSocket(world_->socket())};
  ExpectAlice(MakeMysqlSource(options).get());
}

TEST_F(MysqlSourceTest, Tls) {
  MysqlOptions options = world_->Options();
  options.tls.on = true;
  options.tls.ca_file = world_->ca_file;
  ExpectAlice(MakeMysqlSource(options).get());
  options.tls.ca_file.clear();
  ExpectFailure(MakeMysqlSource(options).get(), "MySQL: TLS/SSL error");
  options.tls.insecure = true;
  ExpectAlice(MakeMysqlSource(options).get());
}

TEST_F(MysqlSourceTest, QueriesThatAreWrong) {
  MysqlOptions options = world_->Options();
  options.query = "SELECT host FROM users WHERE name = $1";
  ExpectFailure(MakeMysqlSource(options).get(),
                "the query cannot be prepared: Unknown column 'host'");
  options.query = "SELECT name FROM users WHERE name = $1";
  ExpectFailure(MakeMysqlSource(options).get(), "the query gives no column named target");
  options.query = "DO $1";
  ExpectFailure(MakeMysqlSource(options).get(), "the query gives no rows");
}

TEST_F(MysqlSourceTest, AWrongPassword) {
  MysqlOptions options = world_->Options();
  options.password = Secret("correct horse 77");
  ExpectFailure(MakeMysqlSource(options).get(), "Access denied");
}

TEST_F(MysqlSourceTest, ASlowQueryMeetsItsDeadline) {
  const auto source = Source();
  ExpectAlice(source.get());
  const LookupAnswer slow = AskFor(source.get(), "slow", std::chrono::seconds(2));
  EXPECT_EQ(slow.kind, Kind::kTemporary);
  EXPECT_EQ(slow.detail, "MySQL: no answer in time");
  ExpectAlice(source.get());
}

TEST_F(MysqlSourceTest, AFrozenServerMeetsTheDeadline) {
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

TEST_F(MysqlSourceTest, ARestartIsMended) {
  const auto source = Source();
  ExpectAlice(source.get());
  world_->server->Kill();
  ExpectFailure(source.get(), "MySQL: ");
  world_->Start();
  ExpectAlice(source.get());
}

TEST_F(MysqlSourceTest, AnIdleConnectionThatBrokeIsMadeAnew) {
  const auto source = Source();
  ExpectAlice(source.get());
  RunProgram({"mariadb", "--no-defaults", "--socket=" + world_->socket(), "--user=root"},
             kServerUser, "KILL CONNECTION USER postern;");
  ExpectAlice(source.get());
}

TEST_F(MysqlSourceTest, TheNextServerIsAsked) {
  FakeServer silent("");
  MysqlOptions options = world_->Options();
  options.servers = {Local(FreePort()), silent.address(), Local(world_->port)};
  const auto source = MakeMysqlSource(options);
  ExpectTheNextIsAsked(source.get(), silent);
}

TEST_F(MysqlSourceTest, Garbage) {
  FakeServer web("HTTP/1.1 400 Bad Request\r\n\r\n");
  MysqlOptions options = world_->Options();
  options.servers = {web.address()};
  ExpectFailure(MakeMysqlSource(options).get(), "MySQL: ");
}

}  // namespace
}  // namespace postern::routing::testing
