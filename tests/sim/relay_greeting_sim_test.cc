// Listeners that greet in a backend's words: its connection is opened before anybody has logged in,
// serves one client, and goes when that one goes, whatever happens in between.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/sim/farm.h"
#include "tests/sim/farm_spec.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

FarmSpec DrawRelayingFarm(uint64_t seed, Weather weather) {
  FarmSpec spec = DrawFarm(seed, weather);
  Random random(seed ^ 0xA909);
  spec.relay = true;
  spec.apop = false;
  // Only backends that judge may greet.
  for (BackendSpec& backend : spec.backends) backend.master = false;
  const bool tells =
      std::any_of(spec.backends.begin(), spec.backends.end(), [](const BackendSpec& backend) {
        return backend.proxy_protocol != config::UpstreamProxy::kOff;
      });
  for (ClientSpec& client : spec.clients) {
    const bool greets = !tells || client.listener != 2;
    // The routes are not asked where a listener has a backend of its own.
    if (spec.backends.size() > 1 && greets) client.known = true;
    if (greets && client.login <= LoginKind::kAuthLogin && random.Chance(0.6)) {
      client.login = LoginKind::kApop;
    }
    if (!greets && client.login == LoginKind::kApop) client.login = LoginKind::kUserPass;
  }
  return spec;
}

class RelayGreetingSim : public ::testing::TestWithParam<Weather> {};

TEST_P(RelayGreetingSim, KeepsItsPromises) {
  size_t by_apop = 0;
  RunSeeds(300, [&by_apop](uint64_t seed) {
    FarmSpec spec = DrawRelayingFarm(seed, GetParam());
    const std::vector<ClientSpec> clients = spec.clients;
    Farm farm(seed, std::move(spec));
    std::vector<std::string> failures = farm.Run();
    const std::vector<ClientStory>& stories = farm.history().clients;
    for (size_t i = 0; i < clients.size(); ++i) {
      if (clients[i].login == LoginKind::kApop && stories[i].logged_in) ++by_apop;
    }
    return failures;
  });
  EXPECT_GT(by_apop, 0u);
}

std::string NameOf(const ::testing::TestParamInfo<Weather>& test) {
  return WeatherName(test.param);
}
INSTANTIATE_TEST_SUITE_P(Weather, RelayGreetingSim,
                         ::testing::Values(Weather::kFair, Weather::kUnruly, Weather::kHostile,
                                           Weather::kDraining),
                         &NameOf);

ClientSpec ApopClient(size_t number) {
  ClientSpec client;
  client.listener = 2;
  client.user = absl::StrCat("user", number, "@example.net");
  client.password = absl::StrCat("secret ", number);
  client.login = LoginKind::kApop;
  client.commands = {"STAT\r\n", "QUIT\r\n"};
  return client;
}

TEST(RelayedApop, EachClientHasAConnectionOfItsOwn) {
  FarmSpec spec;
  spec.relay = true;
  for (size_t i = 0; i < 50; ++i) spec.clients.push_back(ApopClient(i));
  Farm farm(1, std::move(spec));
  EXPECT_EQ(farm.Run(), std::vector<std::string>());
  for (const ClientStory& client : farm.history().clients) EXPECT_TRUE(client.logged_in);
  EXPECT_EQ(farm.history().servers.size(), 50u);
}

TEST(RelayedApop, AWrongDigestAndAClientThatSaysNothing) {
  FarmSpec spec;
  spec.relay = true;
  spec.timeouts.login = 30 * kSecond;
  spec.clients = {ApopClient(0), ApopClient(1), ApopClient(2)};
  spec.clients[0].password_right = false;
  spec.clients[1].login = LoginKind::kNone;
  spec.clients[1].commands.clear();
  Farm farm(1, std::move(spec));
  EXPECT_EQ(farm.Run(), std::vector<std::string>());
  const History& history = farm.history();
  EXPECT_FALSE(history.clients[0].logged_in);
  EXPECT_EQ(history.clients[0].login_reply, "-ERR [AUTH] wrong name or password");
  // The connection that greeted it went with it.
  EXPECT_EQ(history.clients[1].reason, CloseReason::kLoginTimeout);
  EXPECT_EQ(history.servers.size(), 3u);
  EXPECT_TRUE(history.clients[2].logged_in);
}

TEST(RelayedApop, NobodyToGreet) {
  FarmSpec spec;
  spec.relay = true;
  spec.backends[0].absent = true;
  spec.clients = {ApopClient(0)};
  Farm farm(1, std::move(spec));
  EXPECT_EQ(farm.Run(), std::vector<std::string>());
  const ClientStory& client = farm.history().clients[0];
  ASSERT_FALSE(client.replies.empty());
  EXPECT_EQ(client.replies[0],
            "-ERR [SYS/TEMP] The mail server cannot be reached, please try again later");
  EXPECT_EQ(client.reason, CloseReason::kUpstreamUnavailable);
}

TEST(RelayedApop, SeatsAreLimited) {
  FarmSpec spec;
  spec.relay = true;
  spec.timeouts.login = 20 * kSecond;
  spec.backends[0].limits.sessions_max = 2;
  for (size_t i = 0; i < 3; ++i) {
    spec.clients.push_back(ApopClient(i));
    spec.clients[i].starts_after = static_cast<DurationNs>(i) * kSecond;
  }
  // Two that say nothing hold both seats; the third comes too early, and would not a minute later.
  for (size_t i = 0; i < 2; ++i) {
    spec.clients[i].login = LoginKind::kNone;
    spec.clients[i].commands.clear();
  }
  spec.clients.push_back(ApopClient(3));
  spec.clients[3].starts_after = 60 * kSecond;
  Farm farm(1, std::move(spec));
  EXPECT_EQ(farm.Run(), std::vector<std::string>());
  const std::vector<ClientStory>& clients = farm.history().clients;
  EXPECT_EQ(clients[2].reason, CloseReason::kUpstreamUnavailable);
  EXPECT_FALSE(clients[2].logged_in);
  EXPECT_TRUE(clients[3].logged_in);
  EXPECT_EQ(farm.history().servers.size(), 3u);
}

}  // namespace
}  // namespace postern::sim
