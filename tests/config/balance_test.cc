// What pools and backends say about balancing, room and waiting.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using routing::Balance;

constexpr absl::string_view kRest = R"(
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[route]]
users = "*"
pool = "mail"
)";

Config Parse(absl::string_view pool, absl::string_view backend = "") {
  const std::string text =
      absl::StrCat("[[pool]]\nname = \"mail\"\n", pool,
                   "\nbackends = [{ name = \"mail1\", address = \"10.0.0.1:110\"", backend,
                   " }, { name = \"mail2\", address = \"10.0.0.2:110\" }]\n", kRest);
  absl::StatusOr<Config> config = ParseConfig(text, "f");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : Config();
}

TEST(BalanceConfigTest, NothingIsOnByDefault) {
  const Config config = Parse("");
  const routing::PoolOptions& pool = config.routing.pools.at(0);
  EXPECT_EQ(pool.balance, Balance::kRendezvous);
  EXPECT_FALSE(pool.failover);
  EXPECT_EQ(pool.load_bound_percent, 0);
  EXPECT_EQ(pool.queue.wait, 0);
  EXPECT_EQ(pool.slow_start, 0);
  EXPECT_EQ(pool.in_use.wait, 0);
  EXPECT_EQ(pool.in_use.end_idle, 0);
  for (const routing::BackendOptions& backend : config.routing.backends) {
    EXPECT_FALSE(backend.backup);
    EXPECT_EQ(backend.limits.sessions_max, 0);
    EXPECT_EQ(backend.limits.logins_max, 0);
  }
}

TEST(BalanceConfigTest, EveryWord) {
  const std::pair<const char*, Balance> words[] = {{"user-hash", Balance::kRendezvous},
                                                   {"rendezvous", Balance::kRendezvous},
                                                   {"maglev", Balance::kMaglev},
                                                   {"least-sessions", Balance::kLeastSessions},
                                                   {"round-robin", Balance::kRoundRobin}};
  for (const auto& [word, balance] : words) {
    const Config config = Parse(absl::StrCat("failover = true\nbalance = \"", word, "\""));
    EXPECT_EQ(config.routing.pools.at(0).balance, balance) << word;
  }
}

TEST(BalanceConfigTest, EveryKey) {
  const Config config = Parse(
      "failover = true\nload_bound = 1.25\nslow_start = \"30s\"\n"
      "queue = { wait = \"7s\", max = 20 }\nmax_sessions = 500\nmax_logins_in_flight = 30",
      ", max_sessions = 40, backup = true");
  const routing::PoolOptions& pool = config.routing.pools.at(0);
  EXPECT_EQ(pool.load_bound_percent, 125);
  EXPECT_EQ(pool.slow_start, 30 * kSecond);
  EXPECT_EQ(pool.queue.wait, 7 * kSecond);
  EXPECT_EQ(pool.queue.waiting_max, 20);
  const routing::BackendOptions& own = config.routing.backends.at(0);
  EXPECT_TRUE(own.backup);
  EXPECT_EQ(own.limits.sessions_max, 40);
  EXPECT_EQ(own.limits.logins_max, 30);
  EXPECT_EQ(config.routing.backends.at(1).limits.sessions_max, 500);
}

TEST(BalanceConfigTest, AnAgent) {
  EXPECT_TRUE(Parse("").backends.at(0).agent.address.empty());
  const Config config =
      Parse("", ", agent = { address = \"10.0.0.1:9999\", interval = \"3s\", timeout = \"1s\" }");
  const Agent& agent = config.backends.at(0).agent;
  EXPECT_EQ(agent.address.ToString(), "10.0.0.1:9999");
  EXPECT_EQ(agent.interval, 3 * kSecond);
  EXPECT_EQ(agent.timeout, kSecond);
}

TEST(BalanceConfigTest, DefaultsOfTheQueue) {
  const routing::QueueRules rules = Parse("queue = {}").routing.pools.at(0).queue;
  EXPECT_EQ(rules.wait, 10 * kSecond);
  EXPECT_EQ(rules.waiting_max, 1000);
}

TEST(BalanceConfigTest, MaildropsInUse) {
  const routing::InUseRules by_default = Parse("in_use = {}").routing.pools.at(0).in_use;
  EXPECT_EQ(by_default.wait, 10 * kSecond);
  EXPECT_EQ(by_default.end_idle, 0);
  const routing::InUseRules written =
      Parse("in_use = { wait = \"6s\", end_idle = \"31s\" }").routing.pools.at(0).in_use;
  EXPECT_EQ(written.wait, 6 * kSecond);
  EXPECT_EQ(written.end_idle, 31 * kSecond);
}

TEST(BalanceConfigTest, ABoundMayBeAWholeNumber) {
  const Config config = Parse("failover = true\nbalance = \"maglev\"\nload_bound = 2");
  EXPECT_EQ(config.routing.pools.at(0).load_bound_percent, 200);
}

}  // namespace
}  // namespace postern::config
