// Configurations that are right, and the values they give.
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;

constexpr absl::string_view kSmallest = R"(
[[listener]]
address = "[::]:995"
[tls]
certificates = [{ chain = "chain.pem", key = "/keys/key.pem" }]
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.11:110" }]
[[route]]
users = "*"
pool = "mail"
)";

TEST(GoodConfig, SmallestHasDefaults) {
  const absl::StatusOr<Config> config = ParseConfig(kSmallest, "/etc/postern/postern.toml");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->file, "/etc/postern/postern.toml");
  EXPECT_FALSE(config->hostname.empty());
  EXPECT_EQ(config->dialogue.hostname, config->hostname);
  EXPECT_EQ(config->workers, 0);
  EXPECT_EQ(config->io, IoChoice::kAuto);
  ASSERT_EQ(config->listeners.size(), 1u);
  const Listener& listener = config->listeners[0];
  EXPECT_EQ(listener.name, "[::]:995");
  EXPECT_EQ(listener.address.ToString(), "[::]:995");
  EXPECT_EQ(listener.tls, ListenerTls::kImplicit);
  EXPECT_TRUE(listener.v6only);
  EXPECT_FALSE(listener.plaintext_logins);
  EXPECT_EQ(listener.line, 2);
  EXPECT_THAT(config->tls.certificates,
              ElementsAre(tls::CertificateFiles{"/etc/postern/chain.pem", "/keys/key.pem"}));
  ASSERT_EQ(config->backends.size(), 1u);
  EXPECT_EQ(config->backends[0].name, "mail1");
  EXPECT_EQ(config->backends[0].address.host, "10.0.0.11");
  EXPECT_EQ(config->backends[0].tls, UpstreamTls::kOff);
  EXPECT_EQ(config->backends[0].line, 8);
  ASSERT_EQ(config->routing.backends.size(), 1u);
  EXPECT_EQ(config->routing.backends[0].weight, 100u);
  ASSERT_EQ(config->routing.pools.size(), 1u);
  EXPECT_THAT(config->routing.pools[0].backends, ElementsAre(0));
  ASSERT_EQ(config->routing.routes.size(), 1u);
  EXPECT_EQ(config->routing.routes[0].line, 9);
  EXPECT_EQ(config->timeouts.idle, 660 * kSecond);
}

// Every key once, each with a value that is not its default.
constexpr absl::string_view kEverything = R"(
hostname = "pop.example.net"
workers = 3
io = "epoll"
capabilities = ["TOP", "EXPIRE NEVER"]

[[listener]]
name = "pop3s"
address = "[::]:995"
tls = "implicit"
v6only = false
backlog = 128
proxy_protocol = true
proxy_networks = ["10.0.0.0/8", "2001:db8::1"]

[[listener]]
address = "*:110"
tls = "stls"
plaintext_logins = true
xclient_networks = ["10.0.0.5"]

[tls]
certificates = [
  { chain = "tls/rsa.pem", key = "tls/rsa.key" },
  { chain = "/tls/ecdsa.pem", key = "/tls/ecdsa.key" },
]
version_min = "1.3"
ciphers = "ECDHE+AESGCM"
ciphersuites = "TLS_AES_256_GCM_SHA384"
groups = "P-256"
early_greeting = false
tickets_ecdsa = 1
tickets_rsa = 2

[auth]
mechanisms = ["login"]
user_pass = false
apop = true
secrets = "secrets"
refused_reply = "-ERR no"

[timeouts]
proxy_header = "9s"
handshake = "1s"
login = "2s"
idle = "3m"
upstream_connect = "4ms"
upstream_greeting = "5s"
upstream_login = "6s"
refused_delay = "0s"
close_linger = "7s"
drain = "1h"
resolve = "8s"
hold = "9s"

[limits]
sessions = 10
upstream_tries = 1
held_logins = 12
bad_commands = 4
logins = 5
line_bytes = 600
sasl_bytes = "8KiB"
receive_buffer_bytes = "32KiB"
receive_buffers = 64

[guard]
ipv4_prefix = 20
ipv6_prefix = 56
exempt = ["10.0.0.0/8", "::1"]
sessions = { user = 11, ip = 12, prefix = 13 }
connections = { ip = "14/s", prefix = "15/m", listener = "16/h" }
failures = { user = 17, ip = 18, prefix = 19, forget = "20s", delay = "2s", delay_max = "21s" }
login_delay = "30s"
known_for = "48h"
allow = ["lists/allow"]
deny = ["/lists/deny", "lists/more"]
unlisted = "deny"
entries = 2048

[users]
lowercase_domain = false
lowercase_local = true
default_domain = "example.org"
strip_domain = "example.net"

[log]
sessions = "log/sessions.log"
format = "json"
level = "warning"

[admin]
address = "127.0.0.1:9111"
token_file = "token"
state_file = "state"

[[backend]]
name = "single"
address = "unix:/run/dovecot/pop3"
weight = 7

[[pool]]
name = "mail"
balance = "maglev"
failover = true
affinity = false
login_delay = "90s"
eject = { failures = 7, time = "8s", time_max = "9s", share_max_percent = 10 }
tls = "implicit"
ca = "ca.pem"
login = "master"
master_user = "proxy"
master_password_file = "master"
pipelining = "off"
proxy_protocol = "v2"
health = { probe = "login", interval = "3s", fast_interval = "1s", timeout = "4s", jitter = "100ms", rise = 5, fall = 6, end_over = "2m", user = "canary@example.org" }
backends = [
  { name = "mail1", address = "mail1.example.net:995" },
  { name = "mail2", address = "[2001:db8::2]:110", tls = "stls", server_name = "mail2.example.net", weight = 0, proxy_protocol = "off", xclient = "auto" },
  { name = "mail3", address = "10.0.0.3:995", insecure = true, pipelining = "on", proxy_protocol = "off" },
  { name = "mail4", address = "10.0.0.4:110", tls = "off", login = "password", mechanism = "auth-plain", health = { probe = "login", user = "canary@example.org", password_file = "canary" } },
  "single",
]

[[route]]
map = "users.map"

[[route]]
users = "*@example.org"
pool = "mail"

[[route]]
users = "postmaster"
backend = "single"
login_delay = "10s"
)";

class EveryKey : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Config> config = ParseConfig(kEverything, "etc/postern.toml");
    ASSERT_TRUE(config.ok()) << config.status().message();
    config_ = *std::move(config);
  }
  Config config_;
};

TEST_F(EveryKey, TopAndListeners) {
  EXPECT_EQ(config_.hostname, "pop.example.net");
  EXPECT_EQ(config_.dialogue.hostname, "pop.example.net");
  EXPECT_EQ(config_.workers, 3);
  EXPECT_EQ(config_.io, IoChoice::kEpoll);
  EXPECT_THAT(config_.dialogue.capabilities, ElementsAre("TOP", "EXPIRE NEVER"));
  ASSERT_EQ(config_.listeners.size(), 2u);
  EXPECT_EQ(config_.listeners[0].login_delay.seconds, 90u);
  EXPECT_TRUE(config_.listeners[0].login_delay.varies);
  EXPECT_EQ(config_.listeners[0].name, "pop3s");
  EXPECT_FALSE(config_.listeners[0].v6only);
  EXPECT_EQ(config_.listeners[0].backlog, 128);
  EXPECT_TRUE(config_.listeners[0].proxy_protocol);
  ASSERT_EQ(config_.listeners[0].proxy_networks.size(), 2u);
  EXPECT_EQ(config_.listeners[0].proxy_networks[0].ToString(), "10.0.0.0/8");
  EXPECT_EQ(config_.listeners[0].proxy_networks[1].ToString(), "2001:db8::1/128");
  EXPECT_FALSE(config_.listeners[1].proxy_protocol);
  EXPECT_TRUE(config_.listeners[0].xclient_networks.empty());
  ASSERT_EQ(config_.listeners[1].xclient_networks.size(), 1u);
  EXPECT_EQ(config_.listeners[1].xclient_networks[0].ToString(), "10.0.0.5/32");
  EXPECT_EQ(config_.listeners[1].name, "*:110");
  EXPECT_EQ(config_.listeners[1].address.ToString(), "0.0.0.0:110");
  EXPECT_EQ(config_.listeners[1].tls, ListenerTls::kStls);
  EXPECT_TRUE(config_.listeners[1].plaintext_logins);
  EXPECT_EQ(config_.admin.address, "127.0.0.1:9111");
  EXPECT_EQ(config_.admin.token_file, "etc/token");
  EXPECT_EQ(config_.admin.state_file, "etc/state");
}

// A client whose TLS ends at the neighbour may log in where no other may.
TEST(GoodConfig, CarriedMechanisms) {
  const absl::StatusOr<Config> config = ParseConfig(R"(
[[listener]]
address = "*:110"
tls = "off"
plaintext_logins = true
[auth]
mechanisms = ["scram-sha-1", "scram-sha-256", "xoauth2", "oauthbearer", "plain"]
[[backend]]
name = "nobody-goes-there"
address = "10.0.0.9:110"
[[pool]]
name = "mail"
login = "sasl"
backends = [{ name = "mail1", address = "10.0.0.11:110" }]
[[route]]
users = "*"
pool = "mail"
)",
                                                    "p.toml");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_THAT(config->dialogue.mechanisms,
              ElementsAre(pop3::Mechanism::kScramSha1, pop3::Mechanism::kScramSha256,
                          pop3::Mechanism::kXoauth2, pop3::Mechanism::kOauthbearer,
                          pop3::Mechanism::kPlain));
  EXPECT_EQ(config->backends[1].login, UpstreamLogin::kSasl);
}

TEST(GoodConfig, NoTlsBehindANeighbour) {
  const absl::StatusOr<Config> config = ParseConfig(R"(
[[listener]]
address = "*:110"
tls = "off"
proxy_protocol = true
proxy_networks = ["10.0.0.1"]
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.11:110" }]
[[route]]
users = "*"
pool = "mail"
)",
                                                    "p.toml");
  EXPECT_TRUE(config.ok()) << config.status().message();
}

TEST_F(EveryKey, TlsAndAuth) {
  EXPECT_THAT(config_.tls.certificates,
              ElementsAre(tls::CertificateFiles{"etc/tls/rsa.pem", "etc/tls/rsa.key"},
                          tls::CertificateFiles{"/tls/ecdsa.pem", "/tls/ecdsa.key"}));
  EXPECT_EQ(config_.tls.version_min, tls::Version::kTls13);
  EXPECT_EQ(config_.tls.ciphers, "ECDHE+AESGCM");
  EXPECT_EQ(config_.tls.ciphersuites, "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(config_.tls.groups, "P-256");
  EXPECT_FALSE(config_.tls.early_greeting);
  EXPECT_EQ(config_.tls.tickets_ecdsa, 1);
  EXPECT_EQ(config_.tls.tickets_rsa, 2);
  EXPECT_THAT(config_.dialogue.mechanisms, ElementsAre(pop3::Mechanism::kLogin));
  EXPECT_FALSE(config_.dialogue.user_pass);
  EXPECT_TRUE(config_.dialogue.apop);
  EXPECT_EQ(config_.auth.secrets_file, "etc/secrets");
  EXPECT_EQ(config_.auth.refused_reply, "-ERR no\r\n");
}

TEST_F(EveryKey, TimeoutsLimitsUsersLog) {
  const Timeouts& timeouts = config_.timeouts;
  EXPECT_EQ(timeouts.proxy_header, 9 * kSecond);
  EXPECT_EQ(timeouts.handshake, kSecond);
  EXPECT_EQ(timeouts.login, 2 * kSecond);
  EXPECT_EQ(timeouts.idle, 180 * kSecond);
  EXPECT_EQ(timeouts.upstream_connect, 4 * kMillisecond);
  EXPECT_EQ(timeouts.upstream_greeting, 5 * kSecond);
  EXPECT_EQ(timeouts.upstream_login, 6 * kSecond);
  EXPECT_EQ(timeouts.refused_delay, 0);
  EXPECT_EQ(timeouts.close_linger, 7 * kSecond);
  EXPECT_EQ(timeouts.drain, 3600 * kSecond);
  EXPECT_EQ(timeouts.resolve, 8 * kSecond);
  EXPECT_EQ(timeouts.hold, 9 * kSecond);
  EXPECT_EQ(config_.limits.sessions_max, 10);
  EXPECT_EQ(config_.limits.upstream_tries, 1);
  EXPECT_EQ(config_.limits.held_logins, 12);
  EXPECT_EQ(config_.limits.receive_buffer_bytes, 32768u);
  EXPECT_EQ(config_.limits.receive_buffers, 64);
  EXPECT_EQ(config_.dialogue.bad_commands_max, 4);
  EXPECT_EQ(config_.dialogue.logins_max, 5);
  EXPECT_EQ(config_.dialogue.line_bytes_max, 600u);
  EXPECT_EQ(config_.dialogue.sasl_bytes_max, 8192u);
  EXPECT_FALSE(config_.routing.user.lowercase_domain);
  EXPECT_TRUE(config_.routing.user.lowercase_local);
  EXPECT_EQ(config_.routing.user.default_domain, "example.org");
  EXPECT_EQ(config_.routing.user.strip_domain, "example.net");
  EXPECT_EQ(config_.log.sessions, "etc/log/sessions.log");
  EXPECT_EQ(config_.log.format, LogFormat::kJson);
  EXPECT_EQ(config_.log.level, "warning");
}

TEST_F(EveryKey, BackendsTakeWhatTheirPoolSays) {
  const std::vector<Backend>& backends = config_.backends;
  ASSERT_EQ(backends.size(), 5u);
  ASSERT_EQ(config_.routing.backends.size(), 5u);
  for (size_t i = 0; i < backends.size(); ++i) {
    EXPECT_EQ(config_.routing.backends[i].name, backends[i].name);
  }
  EXPECT_EQ(config_.routing.backends[0].weight, 7u);
  EXPECT_EQ(config_.routing.backends[2].weight, 0u);

  // Written outside, and so outside the pool's defaults, although the pool lists it.
  EXPECT_EQ(backends[0].name, "single");
  EXPECT_EQ(backends[0].address.unix_path, "/run/dovecot/pop3");
  EXPECT_EQ(backends[0].tls, UpstreamTls::kOff);
  EXPECT_EQ(backends[0].login, UpstreamLogin::kPassword);
  EXPECT_EQ(backends[0].mechanism, UpstreamMechanism::kUserPass);
  EXPECT_EQ(backends[0].pipelining, Pipelining::kAuto);

  EXPECT_EQ(backends[1].name, "mail1");
  EXPECT_EQ(backends[1].tls, UpstreamTls::kImplicit);
  EXPECT_EQ(backends[1].tls_options.ca_file, "etc/ca.pem");
  EXPECT_EQ(backends[1].tls_options.server_name, "mail1.example.net");
  EXPECT_FALSE(backends[1].tls_options.insecure);
  EXPECT_EQ(backends[1].login, UpstreamLogin::kMaster);
  EXPECT_EQ(backends[1].mechanism, UpstreamMechanism::kAuthPlain);
  EXPECT_EQ(backends[1].master_user, "proxy");
  EXPECT_EQ(backends[1].master_password_file, "etc/master");
  EXPECT_EQ(backends[1].pipelining, Pipelining::kOff);

  EXPECT_EQ(backends[2].tls, UpstreamTls::kStls);
  EXPECT_EQ(backends[2].address.host, "2001:db8::2");
  EXPECT_EQ(backends[2].tls_options.server_name, "mail2.example.net");

  EXPECT_TRUE(backends[3].tls_options.insecure);
  EXPECT_EQ(backends[3].tls_options.ca_file, "");
  EXPECT_EQ(backends[3].pipelining, Pipelining::kOn);

  EXPECT_EQ(backends[4].tls, UpstreamTls::kOff);
  EXPECT_EQ(backends[4].login, UpstreamLogin::kPassword);
  EXPECT_EQ(backends[4].mechanism, UpstreamMechanism::kAuthPlain);
  EXPECT_EQ(backends[4].master_user, "");
}

TEST_F(EveryKey, PoolsAndRoutes) {
  ASSERT_EQ(config_.routing.pools.size(), 1u);
  const routing::PoolOptions& pool = config_.routing.pools[0];
  EXPECT_EQ(pool.name, "mail");
  EXPECT_EQ(pool.balance, routing::Balance::kMaglev);
  EXPECT_TRUE(pool.failover);
  EXPECT_FALSE(pool.affinity);
  EXPECT_EQ(pool.eject.failures, 7);
  EXPECT_EQ(pool.eject.time, 8 * kSecond);
  EXPECT_EQ(pool.eject.time_max, 9 * kSecond);
  EXPECT_EQ(pool.eject.share_max_percent, 10);
  EXPECT_THAT(pool.backends, ElementsAre(1, 2, 3, 4, 0));
  ASSERT_EQ(config_.routing.routes.size(), 3u);
  EXPECT_EQ(config_.routing.routes[0].map_file, "etc/users.map");
  EXPECT_EQ(config_.routing.routes[1].users, "*@example.org");
  EXPECT_EQ(config_.routing.routes[1].pool, "mail");
  EXPECT_EQ(config_.routing.routes[2].users, "postmaster");
  EXPECT_EQ(config_.routing.routes[2].backend, "single");
}

TEST_F(EveryKey, Health) {
  const Health& pool = config_.backends[1].health;
  EXPECT_EQ(pool.probe, Probe::kLogin);
  EXPECT_EQ(pool.interval, 3 * kSecond);
  EXPECT_EQ(pool.fast_interval, kSecond);
  EXPECT_EQ(pool.timeout, 4 * kSecond);
  EXPECT_EQ(pool.jitter, 100 * kMillisecond);
  EXPECT_EQ(pool.rise, 5);
  EXPECT_EQ(pool.end_over, 120 * kSecond);
  EXPECT_EQ(pool.fall, 6);
  EXPECT_EQ(pool.user, "canary@example.org");
  EXPECT_EQ(pool.password_file, "");  // the master user logs in
  EXPECT_EQ(config_.backends[4].health.password_file, "etc/canary");
  // A [[backend]] that the pool only names is checked as it says itself: here not.
  EXPECT_EQ(config_.backends[0].health.probe, Probe::kNone);
}

TEST(GoodConfig, EjectIsOffUntilItIsWritten) {
  const absl::StatusOr<Config> off = ParseConfig(kSmallest, "postern.toml");
  ASSERT_TRUE(off.ok());
  EXPECT_EQ(off->routing.pools[0].eject.failures, 0);
  EXPECT_TRUE(off->routing.pools[0].affinity);
  EXPECT_EQ(off->routing.pools[0].affinity_for, 0);
  const absl::StatusOr<Config> stays = ParseConfig(
      absl::StrCat(kSmallest, "[[pool]]\nname = \"b\"\nfailover = true\naffinity_for = \"10m\"\n",
                   "backends = [{ name = \"b1\", address = \"h:110\" }]"),
      "postern.toml");
  ASSERT_TRUE(stays.ok()) << stays.status().message();
  EXPECT_EQ(stays->routing.pools[1].affinity_for, 600 * kSecond);
  const absl::StatusOr<Config> on =
      ParseConfig(absl::StrCat(kSmallest, "[[pool]]\nname = \"b\"\neject = { time = \"10m\" }\n",
                               "backends = [{ name = \"b1\", address = \"h:110\" }]"),
                  "postern.toml");
  ASSERT_TRUE(on.ok()) << on.status().message();
  EXPECT_EQ(on->routing.pools[1].eject.failures, 5);
  EXPECT_EQ(on->routing.pools[1].eject.time_max, 600 * kSecond);
  EXPECT_EQ(on->routing.pools[1].eject.share_max_percent, 50);
  const routing::OutlierRules& outliers = on->routing.pools[1].eject.outliers;
  EXPECT_FALSE(outliers.on());
  EXPECT_EQ(outliers.slow_floor, 500 * kMillisecond);
  EXPECT_EQ(outliers.window, 30 * kSecond);
  EXPECT_EQ(outliers.logins_min, 20);
}

TEST(GoodConfig, EjectOutliers) {
  const absl::StatusOr<Config> config =
      ParseConfig(absl::StrCat(kSmallest, "[[pool]]\nname = \"b\"\nfailover = true\neject = { ",
                               "slow_factor = 2.5, slow_floor = \"70ms\", sys_percent = 30, ",
                               "window = \"40s\", logins_min = 12 }\n",
                               "backends = [{ name = \"b1\", address = \"h:110\" }]"),
                  "postern.toml");
  ASSERT_TRUE(config.ok()) << config.status().message();
  const routing::OutlierRules& outliers = config->routing.pools[1].eject.outliers;
  EXPECT_EQ(outliers.slow_factor, 2.5);
  EXPECT_EQ(outliers.slow_floor, 70 * kMillisecond);
  EXPECT_EQ(outliers.sys_percent, 30);
  EXPECT_EQ(outliers.window, 40 * kSecond);
  EXPECT_EQ(outliers.logins_min, 12);
}

TEST(GoodConfig, HealthDefaults) {
  const std::string text =
      absl::StrCat(kSmallest, "[[pool]]\nname = \"b\"\nhealth = { interval = \"400ms\" }\n",
                   "backends = [{ name = \"b1\", address = \"h:110\" }]");
  const absl::StatusOr<Config> config = ParseConfig(text, "postern.toml");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->backends[0].health.probe, Probe::kNone);
  const Health& health = config->backends[1].health;
  EXPECT_EQ(health.probe, Probe::kGreeting);
  EXPECT_EQ(health.fast_interval, 400 * kMillisecond);
  EXPECT_EQ(health.jitter, 40 * kMillisecond);
  EXPECT_EQ(health.timeout, 5 * kSecond);
  EXPECT_EQ(health.rise, 2);
  EXPECT_EQ(health.fall, 3);
}

// The manual page names every key, and its example works.
TEST(ManualPage, IsComplete) {
  const std::string path = std::string(POSTERN_SOURCE_DIR) + "/deploy/man/postern.toml.5";
  std::ifstream file(path);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  const size_t begin = page.find(".Bd -literal\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string example = page.substr(begin + 13, page.find(".Ed", begin) - begin - 13);
  const absl::StatusOr<Config> config = ParseConfig(example, path);
  EXPECT_TRUE(config.ok()) << config.status().message();

  const std::regex key("([a-z_0-9]+) = ");
  const std::string everything(kEverything);
  int keys = 0;
  for (std::sregex_iterator it(everything.begin(), everything.end(), key), end; it != end; ++it) {
    ++keys;
    const std::string name = (*it)[1];
    if (name == "chain" || name == "key") continue;  // named in the line of `certificates`
    EXPECT_TRUE(std::regex_search(page, std::regex("(Sy|,) " + name + "[ \n]"))) << name;
  }
  EXPECT_GT(keys, 60);
}

}  // namespace
}  // namespace postern::config
