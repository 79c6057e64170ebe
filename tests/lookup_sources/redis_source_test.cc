#include "routing/lookup/redis_source.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/lookup_tls_stream.h"
#include "tests/lookup_sources/real_server.h"
#include "tests/lookup_sources/source_contract.h"
#include "tests/tls/test_certificates.h"

namespace postern::routing::testing {
namespace {

constexpr char kData[] =
    "SELECT 3\n"
    "HSET user:alice@example.org target mail1\n"
    "HSET user:bob@example.org target mail2 as bobby password \"s3cret bob\"\n"
    "HSET user:carol@example.org target \"\"\n"
    "SET plain:alice@example.org mail1\n"
    "SET plain:carol@example.org \"\"\n"
    "SET plain:odd \"mail\\n1\"\n"
    "SET domain:example.org:dave mail2\n";

struct World {
  World() : directory(""), authority("Redis' CA"), port(FreePort()), tls_port(FreePort()) {
    signal(SIGPIPE, SIG_IGN);
    tls::testing::CertificateSpec spec;
    spec.ip_addresses = {"127.0.0.1"};
    const tls::testing::PemPair pair = authority.Issue(spec);
    ca_file = directory.Write("ca.pem", authority.pem());
    const std::string config = directory.Write(
        "redis.conf", absl::StrCat("bind 127.0.0.1\nport ", port, "\ntls-port ", tls_port,
                                   "\ntls-cert-file ", directory.Write("chain.pem", pair.chain),
                                   "\ntls-key-file ", directory.Write("key.pem", pair.key),
                                   "\ntls-auth-clients no\ntls-ca-cert-file ", ca_file,
                                   "\nunixsocket ", socket(), "\ndir ", directory.path(),
                                   "\nsave \"\"\nuser default off\nuser postern on \">", kPassword,
                                   "\" ~* +@all\n"));
    server = std::make_unique<RealServer>(std::vector<std::string>{"redis-server", config}, "",
                                          directory.path() + "/log");
    Start();
  }

  void Start() {
    // One after the other.
    server->Start([this] { return Listens(port) && Listens(tls_port) && ListensAt(socket()); });
    RunProgram({"redis-cli", "-p", absl::StrCat(port), "--user", "postern", "--pass", kPassword,
                "--no-auth-warning"},
               "", kData);
  }
  std::string socket() const { return directory.path() + "/socket"; }

  RedisOptions Options() const {
    RedisOptions options;
    options.servers = {Local(port)};
    options.user = "postern";
    options.password = Secret(kPassword);
    options.database = 3;
    options.key = "user:{user}";
    options.target_field = "target";
    options.login_user_field = "as";
    options.login_secret_field = "password";
    return options;
  }

  ServerDirectory directory;
  tls::testing::CertificateAuthority authority;
  std::string ca_file;
  const uint16_t port;
  const uint16_t tls_port;
  std::unique_ptr<RealServer> server;
};

class RedisSourceTest : public WithServer<World> {
 protected:
  static std::unique_ptr<LookupSource> Source() { return MakeRedisSource(world_->Options()); }
};

TEST_F(RedisSourceTest, Hashes) { ExpectAnswers(Source().get()); }

TEST_F(RedisSourceTest, PlainValues) {
  RedisOptions options = world_->Options();
  options.target_field.clear();
  options.key = "plain:{user}";
  const auto source = MakeRedisSource(options);
  ExpectAlice(source.get());
  EXPECT_EQ(AskFor(source.get(), "carol@example.org").kind, Kind::kForbidden);
  EXPECT_EQ(AskFor(source.get(), "nobody@example.org").kind, Kind::kUnknown);
  EXPECT_EQ(AskFor(source.get(), "odd").detail, "Redis: the target holds a control character");
  options.key = "domain:{domain}:{local}";
  EXPECT_EQ(AskFor(MakeRedisSource(options).get(), "dave@example.org").target, "mail2");
  // A hash where a value should be.
  options.key = "user:{user}";
  ExpectFailure(MakeRedisSource(options).get(), "Redis: WRONGTYPE");
}

TEST_F(RedisSourceTest, NamesAreNeverPartOfACommand) { ExpectNoInjection(Source().get()); }

TEST_F(RedisSourceTest, UnixSocket) {
  RedisOptions options = world_->Options();
  options.servers = {UnixSocket(world_->socket())};
  ExpectAlice(MakeRedisSource(options).get());
}

TEST_F(RedisSourceTest, Tls) {
  RedisOptions options = world_->Options();
  options.servers = {Local(world_->tls_port)};
  options.tls.on = true;
  options.tls.ca_file = world_->ca_file;
  options.wrap = TlsWrapper(options.tls);
  ExpectAnswers(MakeRedisSource(options).get());
  options.tls.ca_file.clear();
  options.wrap = TlsWrapper(options.tls);
  ExpectFailure(MakeRedisSource(options).get(), "Redis: TLS: ");
  options.tls.insecure = true;
  options.wrap = TlsWrapper(options.tls);
  ExpectAlice(MakeRedisSource(options).get());
  // TLS with a server that speaks none, and waits for the end of a line.
  options.servers = {Local(world_->port)};
  ExpectFailure(MakeRedisSource(options).get(), "Redis: ", std::chrono::seconds(2));
}

TEST_F(RedisSourceTest, AWrongPassword) {
  RedisOptions options = world_->Options();
  options.password = Secret("correct horse 77");
  ExpectFailure(MakeRedisSource(options).get(), "Redis: the login is refused: WRONGPASS");
  options = world_->Options();
  options.password = Secret();
  ExpectFailure(MakeRedisSource(options).get(), "NOAUTH");
  options = world_->Options();
  options.database = 99;
  ExpectFailure(MakeRedisSource(options).get(), "Redis: the database cannot be selected: ERR");
}

TEST_F(RedisSourceTest, AFrozenServerMeetsTheDeadline) {
  const auto source = Source();
  ExpectAlice(source.get());
  const auto fresh = Source();
  world_->server->Freeze();
  ExpectFailure(source.get(), "no answer in time", std::chrono::seconds(2));
  ExpectFailure(fresh.get(), "no answer in time", std::chrono::seconds(2));
  world_->server->Thaw();
  ExpectAlice(source.get());
  ExpectAlice(fresh.get());
}

TEST_F(RedisSourceTest, ARestartIsMended) {
  const auto source = Source();
  const auto other = Source();
  ExpectAlice(source.get());
  ExpectAlice(other.get());
  world_->server->Kill();
  ExpectFailure(source.get(), "Connection refused");
  world_->Start();
  ExpectAlice(source.get());
  // This one still has the connection that broke.
  ExpectAlice(other.get());
}

TEST_F(RedisSourceTest, TheNextServerIsAsked) {
  FakeServer silent("");
  RedisOptions options = world_->Options();
  options.servers = {Local(FreePort()), silent.address(), Local(world_->port)};
  const auto source = MakeRedisSource(options);
  ExpectTheNextIsAsked(source.get(), silent);
}

TEST_F(RedisSourceTest, Garbage) {
  RedisOptions options = world_->Options();
  options.password = Secret();
  options.database = 0;
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n", ":1\r\n", "$-9\r\n",
                            "*99999999\r\n", "*1\r\n*99999999\r\n", "$5\r\nmail1\r\n"}) {
    FakeServer server(bytes);
    options.servers = {server.address()};
    ExpectFailure(MakeRedisSource(options).get(), "Redis: ", std::chrono::milliseconds(300));
  }
}

}  // namespace
}  // namespace postern::routing::testing
