// Backends that answer, but worse than the others, in simulated farms without any check; and pools
// that answer nobody at all.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"
#include "tests/sim/farm.h"
#include "tests/sim/random.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

using Failures = std::vector<std::string>;

class OutlierSim : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

constexpr DurationNs kWindow = 10 * kSecond;
constexpr DurationNs kTurnsBad = 30 * kSecond;
constexpr DurationNs kTurnsGood = 70 * kSecond;
constexpr DurationNs kEnd = 150 * kSecond;
constexpr DurationNs kBetweenClients = kSecond / 6;
// A window, two tenths of it, two looks of the watch, and the last slow login.
constexpr DurationNs kFoundAfter = kWindow + kWindow / 5 + kSecond + 2 * kSecond;

BadSpell Spell(ServerFault fault) {
  BadSpell spell;
  spell.from = kTurnsBad;
  spell.until = kTurnsGood;
  spell.script.fault = fault;
  spell.script.delay = 2 * kSecond;
  return spell;
}

FarmSpec ThreeBackends() {
  FarmSpec spec;
  spec.failover = true;
  spec.backends.assign(3, BackendSpec{});
  spec.eject.failures = 5;
  spec.eject.time = 20 * kSecond;
  spec.eject.outliers.slow_factor = 3;
  spec.eject.outliers.sys_percent = 50;
  spec.eject.outliers.window = kWindow;
  spec.eject.outliers.logins_min = 8;
  spec.watched_for = kEnd;
  for (int i = 0; i * kBetweenClients < kEnd; ++i) {
    ClientSpec client;
    client.listener = 2;
    client.user = absl::StrCat("user", i, "@example.net");
    client.password = absl::StrCat("secret", i);
    client.commands = {"STAT\r\n", "QUIT\r\n"};
    client.starts_after = i * kBetweenClients;
    spec.clients.push_back(client);
  }
  return spec;
}

// How many of the clients that came in a while went to mail1.
size_t AtFirst(const Farm& farm, const FarmSpec& spec, DurationNs from, DurationNs until) {
  size_t count = 0;
  for (size_t i = 0; i < spec.clients.size(); ++i) {
    const DurationNs came = spec.clients[i].starts_after;
    if (came < from || came >= until) continue;
    count += farm.history().clients[i].backend == "mail1" ? 1 : 0;
  }
  return count;
}

struct BadBackend {
  ServerFault fault;
  routing::EjectCause cause;
};

class OneIsBad : public ::testing::TestWithParam<BadBackend> {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

TEST_P(OneIsBad, ItIsEjectedInTimeAndComesBack) {
  RunSeeds(5, [](uint64_t seed) {
    FarmSpec spec = ThreeBackends();
    spec.backends[0].bad_spells = {Spell(GetParam().fault)};
    const FarmSpec copy = spec;
    Farm farm(seed, std::move(spec));
    Failures failures = farm.Run();
    const routing::BackendReport report = farm.state(0)->Report(0);
    const uint64_t for_this = report.ejections_by[static_cast<size_t>(GetParam().cause)];
    // Out for 20 s; it may be found once more in the rest of the 40 s, and is out for 40 s then.
    if (for_this == 0 || for_this > 2 || report.ejections != for_this) {
      failures.push_back(absl::StrCat("mail1 was ejected ", report.ejections, " times, ", for_this,
                                      " of them for its fault: ", report.eject_reason));
    }
    for (const size_t other : {1u, 2u}) {
      if (farm.state(other)->Report(0).ejections > 0) {
        failures.push_back(absl::StrCat("mail", other + 1, " was well all the time and ejected: ",
                                        farm.state(other)->Report(0).eject_reason));
      }
    }
    if (AtFirst(farm, copy, 0, kTurnsBad) < 20) failures.push_back("nobody used mail1");
    const size_t while_out =
        AtFirst(farm, copy, kTurnsBad + kFoundAfter, kTurnsBad + kFoundAfter + 5 * kSecond);
    if (while_out > 0) failures.push_back(absl::StrCat(while_out, " went there while it was bad"));
    // The second ejection may have begun when the spell was over.
    if (AtFirst(farm, copy, kTurnsGood + kFoundAfter + 40 * kSecond, kEnd) < 20) {
      failures.push_back("nobody came back");
    }
    return failures;
  });
}

TEST_P(OneIsBad, APoolThatIsBadAsAWholeKeepsItsBackends) {
  RunSeeds(3, [](uint64_t seed) {
    FarmSpec spec = ThreeBackends();
    for (BackendSpec& backend : spec.backends) backend.bad_spells = {Spell(GetParam().fault)};
    Farm farm(seed, std::move(spec));
    Failures failures = farm.Run();
    for (size_t i = 0; i < 3; ++i) {
      const routing::BackendReport report = farm.state(i)->Report(0);
      if (report.ejections > 0) {
        failures.push_back(absl::StrCat("mail", i + 1, " was ejected: ", report.eject_reason));
      }
    }
    return failures;
  });
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, OneIsBad,
    ::testing::Values(BadBackend{ServerFault::kSlowGreeting, routing::EjectCause::kSlowGreeting},
                      BadBackend{ServerFault::kPassSlow, routing::EjectCause::kSlowLogin},
                      BadBackend{ServerFault::kPassSysTemp, routing::EjectCause::kSysRefusals}),
    [](const auto& kind) { return routing::EjectCauseName(kind.param.cause).data(); });

// One server answers wrong passwords late, on purpose, and gets most of them.
TEST_F(OutlierSim, AFloodOfWrongPasswordsEjectsNobody) {
  RunSeeds(1, [](uint64_t seed) {
    Random random(seed ^ 0xF100D);
    FarmSpec spec = ThreeBackends();
    const FarmSpec honest = spec;
    for (size_t i = 0; i < honest.clients.size(); ++i) {
      for (int k = 0; k < 2; ++k) {
        ClientSpec guesser = honest.clients[i];
        guesser.user = absl::StrCat("guessed", i, "-", k, "@example.net");
        guesser.password_right = false;
        guesser.starts_after += random.Between(0, kSecond);
        spec.clients.push_back(guesser);
      }
    }
    spec.backends[0].scripts[0].refusal_delay = 2 * kSecond;
    Farm farm(seed, std::move(spec));
    Failures failures = farm.Run();
    size_t refused = 0;
    for (const ClientStory& client : farm.history().clients) refused += client.logged_in ? 0 : 1;
    if (refused < 1000) failures.push_back(absl::StrCat("only ", refused, " were refused"));
    for (size_t i = 0; i < 3; ++i) {
      const routing::BackendReport report = farm.state(i)->Report(0);
      if (report.ejections > 0) {
        failures.push_back(absl::StrCat("mail", i + 1, " was ejected: ", report.eject_reason));
      }
    }
    return failures;
  });
}

// --- a pool that answers nobody ---

constexpr DurationNs kDies = 5 * kSecond;
constexpr DurationNs kLives = 35 * kSecond;
constexpr DurationNs kConnectTimeout = 2 * kSecond;
// Each of the three has met three timeouts.
constexpr DurationNs kKnownAfter = kConnectTimeout + 4 * kSecond;
// The next that may try comes within a second.
constexpr DurationNs kBackAfter = 3 * kSecond;

struct DeadPool {
  ConnectAnswer::Kind kind;
  int share_max_percent;  // 50: two are never ejected; 100: all are, and the pool panics
};

FarmSpec DyingFarm(const DeadPool& dead) {
  FarmSpec spec;
  spec.failover = true;
  spec.backends.assign(3, BackendSpec{});
  for (BackendSpec& backend : spec.backends) backend.outages = {{kDies, kLives, dead.kind}};
  spec.timeouts.upstream_connect = kConnectTimeout;
  spec.eject.failures = 3;
  spec.eject.time = 10 * kSecond;
  spec.eject.share_max_percent = dead.share_max_percent;
  for (int i = 0; i < 1000; ++i) {
    ClientSpec client;
    client.listener = 2;
    client.user = absl::StrCat("user", i, "@example.net");
    client.password = absl::StrCat("secret", i);
    client.commands = {"STAT\r\n", "QUIT\r\n"};
    client.starts_after = i * kSecond / 20;
    spec.clients.push_back(client);
  }
  return spec;
}

class DeadPoolSim : public ::testing::TestWithParam<DeadPool> {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

// Without a single check.
TEST_P(DeadPoolSim, ItsUsersAreToldAtOnceAndOneASecondTries) {
  RunSeeds(3, [](uint64_t seed) {
    FarmSpec spec = DyingFarm(GetParam());
    const std::vector<ClientSpec> specs = spec.clients;
    Farm farm(seed, std::move(spec));
    Failures failures = farm.Run();
    int at_once = 0;
    int late = 0;
    for (size_t i = 0; i < specs.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      const DurationNs came = specs[i].starts_after;
      if (came < kDies - kSecond || came >= kLives + kBackAfter) {
        if (!client.logged_in) failures.push_back(client.name + " was turned away");
        continue;
      }
      if (!client.logged_in && !absl::StrContains(client.login_reply, "[SYS/TEMP]")) {
        failures.push_back(absl::StrCat(client.name, " was told ", client.login_reply));
      }
      if (came < kDies + kKnownAfter || came >= kLives) continue;
      ++(client.total <= 100 * kMillisecond ? at_once : late);
    }
    // At each of the three one a second.
    const int seconds = static_cast<int>((kLives - kDies - kKnownAfter) / kSecond);
    if (late > 3 * (seconds + 1)) failures.push_back(absl::StrCat(late, " had to wait"));
    if (at_once < 350) failures.push_back(absl::StrCat("only ", at_once, " were told at once"));
    return failures;
  });
}

INSTANTIATE_TEST_SUITE_P(Kinds, DeadPoolSim,
                         ::testing::Values(DeadPool{ConnectAnswer::Kind::kRefuse, 50},
                                           DeadPool{ConnectAnswer::Kind::kRefuse, 100},
                                           DeadPool{ConnectAnswer::Kind::kBlackhole, 50},
                                           DeadPool{ConnectAnswer::Kind::kBlackhole, 100}),
                         [](const auto& dead) {
                           return absl::StrCat(dead.param.kind == ConnectAnswer::Kind::kRefuse
                                                   ? "Refuses"
                                                   : "IsSilent",
                                               dead.param.share_max_percent);
                         });

}  // namespace
}  // namespace postern::sim
