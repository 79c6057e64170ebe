// What [guard] says, and what follows from it.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::ElementsAre;

// The lines of [guard] and of a pool "mail", and where the only route leads.
absl::StatusOr<Config> Parse(absl::string_view guard, absl::string_view of_pool = "",
                             absl::string_view target = "pool = \"mail\"") {
  return ParseConfig(absl::StrCat(R"(capabilities = ["TOP", "LOGIN-DELAY 7"]
[[listener]]
address = "*:995"
[tls]
certificates = [{ chain = "c.pem", key = "k.pem" }]
[guard]
)",
                                  guard, R"(
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.1:110" }]
)",
                                  of_pool, R"(
[[route]]
users = "*"
)",
                                  target),
                     "etc/postern.toml");
}

TEST(GuardConfig, EveryKey) {
  const absl::StatusOr<Config> config = Parse(R"(
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
entries = 2048)");
  ASSERT_TRUE(config.ok()) << config.status().message();
  const guard::Options& guard = config->guard;
  EXPECT_EQ(guard.ipv4_prefix, 20);
  EXPECT_EQ(guard.ipv6_prefix, 56);
  ASSERT_EQ(guard.exempt.size(), 2u);
  EXPECT_EQ(guard.exempt[0].ToString(), "10.0.0.0/8");
  EXPECT_EQ(guard.sessions.user, 11);
  EXPECT_EQ(guard.sessions.ip, 12);
  EXPECT_EQ(guard.sessions.prefix, 13);
  EXPECT_EQ(guard.connections.ip.count, 14);
  EXPECT_EQ(guard.connections.ip.period, kSecond);
  EXPECT_EQ(guard.connections.prefix.count, 15);
  EXPECT_EQ(guard.connections.prefix.interval(), 4 * kSecond);
  EXPECT_EQ(guard.connections.listener.count, 16);
  EXPECT_EQ(guard.connections.listener.interval(), 225 * kSecond);
  EXPECT_TRUE(guard.failures.on);
  EXPECT_EQ(guard.failures.user, 17);
  EXPECT_EQ(guard.failures.ip, 18);
  EXPECT_EQ(guard.failures.prefix, 19);
  EXPECT_EQ(guard.failures.forget, 20 * kSecond);
  EXPECT_EQ(guard.failures.delay, 2 * kSecond);
  EXPECT_EQ(guard.failures.delay_max, 21 * kSecond);
  EXPECT_EQ(guard.login_delay, 30 * kSecond);
  EXPECT_TRUE(guard.login_delays);
  EXPECT_EQ(guard.known_for, 48 * 3600 * kSecond);
  EXPECT_THAT(guard.allow_files, ElementsAre("etc/lists/allow"));
  EXPECT_THAT(guard.deny_files, ElementsAre("/lists/deny", "etc/lists/more"));
  EXPECT_TRUE(guard.deny_unlisted);
  EXPECT_EQ(guard.entries, 2048u);
  EXPECT_THAT(config->login_delays, ElementsAre(30 * kSecond));
  EXPECT_TRUE(guard.any());
}

// Off, and with the tables' sizes that the manual names.
TEST(GuardConfig, NothingIsGuardedByDefault) {
  const absl::StatusOr<Config> config = Parse("");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_FALSE(config->guard.any());
  EXPECT_EQ(config->guard.entries, 262144u);
  EXPECT_THAT(config->login_delays, ElementsAre(0));
}

TEST(GuardConfig, AnEmptyTableOfFailuresIsEnough) {
  const absl::StatusOr<Config> config = Parse("failures = {}");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_TRUE(config->guard.failures.on);
  EXPECT_EQ(config->guard.failures.user, 20);
  EXPECT_EQ(config->guard.failures.ip, 40);
  EXPECT_EQ(config->guard.failures.prefix, 400);
}

// A moved user may meet a pool that no route leads to.
TEST(GuardConfig, LoginDelaysOfWhateverUsersMayMeet) {
  const absl::StatusOr<Config> config = Parse("", "login_delay = \"90s\"", "backend = \"mail1\"");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_TRUE(config->guard.login_delays);
}

// RFC 2449 section 6.5: the largest one, and whether another may hold.
TEST(GuardConfig, LoginDelayThatIsAnnounced) {
  const auto delay = [](absl::string_view guard, absl::string_view of_pool,
                        absl::string_view target) {
    const absl::StatusOr<Config> config = Parse(guard, of_pool, target);
    EXPECT_TRUE(config.ok()) << config.status().message();
    // The operator's own word stays: it is of the backends.
    EXPECT_EQ(config->dialogue.capabilities.back(), "LOGIN-DELAY 7");
    const pop3::LoginDelay announced = config->listeners[0].login_delay;
    return absl::StrCat(announced.seconds, announced.varies ? " USER" : "");
  };
  constexpr absl::string_view kPool = "pool = \"mail\"";
  constexpr absl::string_view kBackend = "backend = \"mail1\"";
  EXPECT_EQ(delay("", "", kPool), "0");
  EXPECT_EQ(delay("login_delay = \"1m\"", "", kPool), "60");
  EXPECT_EQ(delay("", "login_delay = \"90s\"", kPool), "90");
  EXPECT_EQ(delay("", "login_delay = \"90s\"", kBackend), "0") << "no way to the pool";
  EXPECT_EQ(delay("login_delay = \"1m\"", "login_delay = \"0s\"", kBackend), "60");
  const std::string own = absl::StrCat(kPool, "\nlogin_delay = \"1500ms\"");
  EXPECT_EQ(delay("", "", own), "2");
  EXPECT_EQ(delay("login_delay = \"1m\"", "login_delay = \"90s\"", own), "2");
  EXPECT_EQ(delay("", "login_delay = \"90s\"\n[[route]]\nmap = \"users.map\"", kPool), "90 USER");
  EXPECT_EQ(delay("login_delay = \"1m\"", "login_delay = \"0s\"", kPool), "0");
}

// Whatever names pools, a pool's delay may be met.
TEST(GuardConfig, LoginDelayBehindEveryKindOfRoute) {
  constexpr absl::string_view kLookup =
      "[[lookup]]\nname = \"l\"\ntype = \"redis\"\nservers = [\"h:1\"]\nkey = \"{user}\"\n";
  for (const absl::string_view route :
       {"map = \"m\"", "cdb = \"c\"", "rules = \"r\"", "regex = \"a\"\ntarget = \"mail\"",
        "lookup = \"l\"", "lookup = \"l\"\nbackend = \"mail1\""}) {
    const std::string of_pool =
        absl::StrCat("login_delay = \"90s\"\n", kLookup, "[[route]]\n", route);
    const absl::StatusOr<Config> config = Parse("", of_pool, "backend = \"mail1\"");
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_TRUE(config->guard.login_delays) << route;
    EXPECT_EQ(config->listeners[0].login_delay.seconds, 90u) << route;
    EXPECT_TRUE(config->listeners[0].login_delay.varies) << route;
  }
}

}  // namespace
}  // namespace postern::config
