// Health checks in simulated farms: they disturb nobody, find what is down and what came back, and
// logins act on it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "metrics/worker_stats.h"
#include "proxy/base/log.h"
#include "tests/sim/farm.h"
#include "tests/sim/farm_spec.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

using config::Probe;
using Failures = std::vector<std::string>;

constexpr Probe kProbes[] = {Probe::kTcp, Probe::kGreeting, Probe::kTls, Probe::kCapa,
                             Probe::kLogin};

class HealthSim : public ::testing::TestWithParam<Weather> {
 protected:
  // Thousands of backends go up and down here; nobody wants to read it.
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

// Whether a backend that was checked alone was left in order each time, but for the checks under
// way when checking was stopped.
void CheckFarewells(const Farm& farm, Probe probe, DurationNs stopped_at, Failures* failures) {
  for (const ServerStory& server : farm.history().servers) {
    if (server.ended_at < 0 || server.ended_at >= stopped_at) continue;
    const std::vector<std::string>& commands = server.record.commands;
    const bool by_client =
        !server.record.users_offered.empty() && server.record.users_offered.front() != kCanaryUser;
    if (by_client || probe == Probe::kTcp) continue;
    if (commands.empty() || commands.back() != "QUIT") {
      failures->push_back(absl::StrCat(server.name, " was checked and left without QUIT: \"",
                                       absl::StrJoin(commands, ", "), "\""));
    }
  }
}

TEST_P(HealthSim, ChecksDisturbNobody) {
  RunSeeds(100, [](uint64_t seed) {
    FarmSpec spec = DrawFarm(seed, GetParam());
    spec.health.probe = kProbes[seed % std::size(kProbes)];
    spec.health.timeout = GetParam() == Weather::kFair ? 15 * kSecond : 3 * kSecond;
    Random random(seed ^ 0x4EA17);
    spec.health_for = random.Between(0, 60 * kSecond);
    for (size_t i = random.Below(4); i > 0; --i) {
      spec.reloads_after.push_back(random.Between(0, spec.health_for));
    }
    if (GetParam() != Weather::kFair) {
      spec.eject.failures = static_cast<int>(random.Below(3));
      spec.eject.time = random.Between(kSecond, 10 * kSecond);
      for (BackendSpec& backend : spec.backends) {
        for (size_t i = random.Below(3); i > 0; --i) {
          const DurationNs from = random.Between(0, 30 * kSecond);
          backend.outages.push_back(
              {from, from + random.Between(0, 20 * kSecond),
               random.Pick({ConnectAnswer::Kind::kRefuse, ConnectAnswer::Kind::kBlackhole})});
        }
      }
    }
    const size_t backends = spec.backends.size();
    const Probe probe = spec.health.probe;
    const DurationNs stopped_at = spec.health_for;
    const bool cut_short = spec.health_for < 20 * kSecond || !spec.reloads_after.empty();
    Farm farm(seed, std::move(spec));
    Failures failures = farm.Run();
    if (GetParam() != Weather::kFair || cut_short) return failures;
    for (size_t i = 0; i < backends; ++i) {
      const routing::BackendReport report = farm.state(i)->Report(0);
      if (report.health != routing::Health::kUp || report.checks_bad > 0) {
        failures.push_back(absl::StrCat("mail", i + 1, " is well and was found ",
                                        routing::HealthName(report.health), ": ",
                                        report.last_failure));
      }
    }
    CheckFarewells(farm, probe, stopped_at, &failures);
    return failures;
  });
}

std::string NameOf(const ::testing::TestParamInfo<Weather>& test) {
  return WeatherName(test.param);
}
INSTANTIATE_TEST_SUITE_P(Weather, HealthSim,
                         ::testing::Values(Weather::kFair, Weather::kUnruly, Weather::kHostile,
                                           Weather::kDraining),
                         &NameOf);

// --- one backend of three goes away and comes back ---

constexpr DurationNs kGoes = 10 * kSecond;
constexpr DurationNs kComes = 40 * kSecond;
// An interval of 2 s, two fast ones of 0.5 s, 0.2 s of jitter each, and three timeouts of 1 s.
constexpr DurationNs kFoundAfter = 7 * kSecond;
// A check in progress, an interval and a fast one, with their jitter.
constexpr DurationNs kTrustedAfter = 5 * kSecond;

FarmSpec ThreeBackends(ConnectAnswer::Kind kind, bool failover) {
  FarmSpec spec;
  spec.failover = failover;
  spec.backends.assign(3, BackendSpec{});
  spec.backends[0].outages = {{kGoes, kComes, kind}};
  spec.health.probe = Probe::kGreeting;
  spec.health.timeout = kSecond;
  spec.health_for = 60 * kSecond;
  for (int i = 0; i < 116; ++i) {
    ClientSpec client;
    client.listener = 2;
    client.user = absl::StrCat("user", i, "@example.net");
    client.password = "secret";
    client.commands = {"STAT\r\n", "QUIT\r\n"};
    client.starts_after = i * kSecond / 2;
    spec.clients.push_back(client);
  }
  return spec;
}

// What a client that came at `came` may meet without failover.
void CheckStory(const ClientStory& client, DurationNs came, Failures* failures) {
  const bool known_down = came >= kGoes + kFoundAfter && came < kComes;
  const bool away = came >= kGoes - kSecond && came < kComes + kTrustedAfter;
  if (client.logged_in) {
    if (known_down && client.backend == "mail1") {
      failures->push_back(client.name + " was logged in at a backend that is not there");
    }
    return;
  }
  if (client.backend != "mail1" || !away) {
    failures->push_back(absl::StrCat(client.name, " came after ", came / kMillisecond,
                                     " ms and was refused at ", client.backend));
  }
  if (!absl::StrContains(client.login_reply, "[SYS/TEMP]")) {
    failures->push_back(absl::StrCat(client.name, " was told ", client.login_reply));
  }
  if (known_down && client.total > 100 * kMillisecond) {
    failures->push_back(absl::StrCat(client.name, " waited ", client.total / kMillisecond,
                                     " ms for a backend that is known to be down"));
  }
}

class OutageSim : public ::testing::TestWithParam<ConnectAnswer::Kind> {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

TEST_P(OutageSim, UsersOfADeadBackendAreToldAtOnce) {
  RunSeeds(25, [](uint64_t seed) {
    const FarmSpec spec = ThreeBackends(GetParam(), /*failover=*/false);
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    size_t told = 0;
    for (size_t i = 0; i < farm.history().clients.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      CheckStory(client, spec.clients[i].starts_after, &failures);
      told += client.logged_in ? 0 : 1;
    }
    // About a third of the sixty that came meanwhile.
    if (told < 10) failures.push_back("nobody noticed the outage");
    const routing::BackendReport report = farm.state(0)->Report(0);
    if (report.health != routing::Health::kUp || report.changes != 3) {
      failures.push_back(
          absl::StrCat("it should have gone up, down, up; changes: ", report.changes));
    }
    if (farm.state(1)->Report(0).changes != 1) failures.push_back("mail2 was well all the time");
    return failures;
  });
}

TEST_P(OutageSim, WithFailoverNobodyIsTurnedAway) {
  RunSeeds(25, [](uint64_t seed) {
    const FarmSpec spec = ThreeBackends(GetParam(), /*failover=*/true);
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (size_t i = 0; i < farm.history().clients.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      const DurationNs came = spec.clients[i].starts_after;
      if (!client.logged_in) failures.push_back(client.name + " was turned away");
      if (came < kGoes + kFoundAfter || came >= kComes) continue;
      if (client.backend == "mail1" || client.total > 100 * kMillisecond) {
        failures.push_back(absl::StrCat(client.name, " went to ", client.backend, " in ",
                                        client.total / kMillisecond, " ms"));
      }
    }
    return failures;
  });
}

// Each trouble has its name in the metrics, whether the socket tells it early or late.
TEST(UpstreamErrorSim, TellWhatTheSocketSaid) {
  using metrics::UpstreamError;
  for (const auto& [kind, error] :
       {std::pair(ConnectAnswer::Kind::kRefuse, UpstreamError::kRefused),
        std::pair(ConnectAnswer::Kind::kUnreachable, UpstreamError::kUnreachable),
        std::pair(ConnectAnswer::Kind::kReset, UpstreamError::kClosed)}) {
    FarmSpec spec = ThreeBackends(kind, /*failover=*/false);
    spec.backends[0].outages = {{0, 600 * kSecond, kind}};
    spec.health.probe = Probe::kNone;
    Farm farm(1, spec);
    EXPECT_EQ(farm.Run(), Failures{});
    for (size_t i = 0; i < metrics::kUpstreamErrorCount; ++i) {
      const uint64_t count = farm.stats().backend(0).errors[i].Get();
      EXPECT_EQ(count > 0, i == static_cast<size_t>(error))
          << i << " at " << static_cast<int>(kind);
    }
  }
}

// Without a single check: the first logins pay, the others do not.
TEST_P(OutageSim, FailedLoginsEjectABackend) {
  RunSeeds(25, [](uint64_t seed) {
    FarmSpec spec = ThreeBackends(GetParam(), /*failover=*/true);
    spec.health.probe = Probe::kNone;
    spec.eject.failures = 3;
    spec.eject.time = 4 * kSecond;
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    size_t late = 0;
    size_t back = 0;
    for (size_t i = 0; i < farm.history().clients.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      if (!client.logged_in) failures.push_back(client.name + " was turned away");
      const DurationNs came = spec.clients[i].starts_after;
      if (came >= kGoes && came < kComes && client.total > 90 * kMillisecond) ++late;
      if (came > kComes && client.backend == "mail1") ++back;
    }
    const routing::BackendReport report = farm.state(0)->Report(0);
    // Out for 4, 8 and 16 s of the 30, or a little more: some twenty would have had to wait.
    if (report.ejections < 2 || report.ejections > 4) {
      failures.push_back(absl::StrCat("it was ejected ", report.ejections, " times"));
    }
    if (late == 0 || late > 14) failures.push_back(absl::StrCat(late, " clients had to wait"));
    if (back == 0) failures.push_back("nobody came back");
    if (farm.state(1)->Report(0).ejections > 0) failures.push_back("mail2 was well all the time");
    return failures;
  });
}

INSTANTIATE_TEST_SUITE_P(Kinds, OutageSim,
                         ::testing::Values(ConnectAnswer::Kind::kRefuse,
                                           ConnectAnswer::Kind::kBlackhole),
                         [](const auto& kind) {
                           return kind.param == ConnectAnswer::Kind::kRefuse ? "Refuses"
                                                                             : "IsSilent";
                         });

// --- one user, one backend ---

// Long sessions of few users, started anew all the time, while every backend comes and goes.
FarmSpec FlappingFarm(uint64_t seed) {
  Random random(seed ^ 0xAFF1);
  FarmSpec spec;
  spec.failover = true;
  spec.shared_users = true;
  spec.backends.assign(3, BackendSpec{});
  spec.health.probe = Probe::kGreeting;
  spec.health.timeout = kSecond;
  spec.health.interval = kSecond;
  spec.health_for = 90 * kSecond;
  spec.eject.failures = static_cast<int>(random.Below(3));
  spec.eject.time = 3 * kSecond;
  for (BackendSpec& backend : spec.backends) {
    for (DurationNs at = random.Between(0, 10 * kSecond); at < 60 * kSecond;
         at += random.Between(5 * kSecond, 20 * kSecond)) {
      backend.outages.push_back(
          {at, at + random.Between(kSecond, 10 * kSecond),
           random.Pick({ConnectAnswer::Kind::kRefuse, ConnectAnswer::Kind::kBlackhole})});
    }
  }
  for (int i = 0; i < 60; ++i) {
    ClientSpec client;
    client.listener = 2;
    client.user = absl::StrCat("user", random.Below(4), "@example.net");
    client.password = "secret";
    client.commands = {"STAT\r\n", "RETR 1\r\n", "QUIT\r\n"};
    client.deaf_for = random.Between(0, 15 * kSecond);
    client.starts_after = random.Between(0, 60 * kSecond);
    spec.clients.push_back(client);
  }
  return spec;
}

// The end of a session is on its way for a moment when the proxy has closed it already.
constexpr DurationNs kOnItsWay = 50 * kMillisecond;

// Pairs of sessions of one user.
struct Pairs {
  size_t at_one_backend = 0;   // at the same time
  size_t at_two_backends = 0;  // at the same time
  size_t in_turn = 0;          // at two backends, one after the other
};

void CountPairs(const std::vector<ServerStory>& servers, Pairs* pairs) {
  for (size_t i = 0; i < servers.size(); ++i) {
    const ServerStory& one = servers[i];
    if (one.logged_in_at < 0 || one.record.user == kCanaryUser) continue;
    for (size_t j = i + 1; j < servers.size(); ++j) {
      const ServerStory& two = servers[j];
      if (two.logged_in_at < 0 || one.record.user != two.record.user) continue;
      const bool same = one.backend == two.backend;
      const bool overlap = one.logged_in_at + kOnItsWay < two.ended_at &&
                           two.logged_in_at + kOnItsWay < one.ended_at;
      if (overlap) ++(same ? pairs->at_one_backend : pairs->at_two_backends);
      if (!overlap && !same) ++pairs->in_turn;
    }
  }
}

Pairs RunFlappingFarms(bool affinity) {
  log::Configure(log::Level::kError);
  Pairs pairs;
  RunSeeds(60, [&pairs, affinity](uint64_t seed) {
    FarmSpec spec = FlappingFarm(seed);
    spec.affinity = affinity;
    Farm farm(seed, std::move(spec));
    Failures failures = farm.Run();
    const size_t before = pairs.at_two_backends;
    CountPairs(farm.history().servers, &pairs);
    if (affinity && pairs.at_two_backends > before) {
      failures.push_back("a user was at two backends at the same time");
    }
    return failures;
  });
  log::Configure(log::Level::kInfo);
  return pairs;
}

TEST(AffinitySim, NoUserIsEverAtTwoBackends) {
  const Pairs pairs = RunFlappingFarms(/*affinity=*/true);
  EXPECT_EQ(pairs.at_two_backends, 0u);
  EXPECT_GT(pairs.at_one_backend, 100u);
  EXPECT_GT(pairs.in_turn, 100u) << "backends that come and go should move users";
}

// The same worlds without it: what the test above is able to see.
TEST(AffinitySim, WithoutAffinityTheyAre) {
  EXPECT_GT(RunFlappingFarms(/*affinity=*/false).at_two_backends, 20u);
}

// Each fault that a greeting, STLS, CAPA or a login can have is found by the first probe that looks
// so far, and by no smaller one.
TEST(ProbeSim, EachFindsWhatItLooksAt) {
  log::Configure(log::Level::kError);
  struct Case {
    ServerFault fault;
    Probe first;
  };
  constexpr Case kCases[] = {
      {ServerFault::kCloseAtAccept, Probe::kGreeting},
      {ServerFault::kNoGreeting, Probe::kGreeting},
      {ServerFault::kErrGreeting, Probe::kGreeting},
      {ServerFault::kHttpGreeting, Probe::kGreeting},
      {ServerFault::kNulGreeting, Probe::kGreeting},
      {ServerFault::kStlsRefused, Probe::kTls},
      {ServerFault::kStlsExtraLine, Probe::kTls},
      {ServerFault::kCapaEndless, Probe::kCapa},
      {ServerFault::kNoUserReply, Probe::kLogin},
      {ServerFault::kNoPassReply, Probe::kLogin},
      {ServerFault::kCloseAtPass, Probe::kLogin},
      {ServerFault::kPassSysTemp, Probe::kLogin},
      {ServerFault::kPassGarbage, Probe::kLogin},
  };
  uint64_t seed = 1;
  for (const Case& one : kCases) {
    for (const Probe probe : kProbes) {
      FarmSpec spec;
      spec.backends[0].tls = config::UpstreamTls::kStls;
      spec.backends[0].scripts[0].fault = one.fault;
      spec.health.probe = probe;
      spec.health.timeout = kSecond;
      Farm farm(++seed, spec);
      const Failures failures = farm.Run();
      EXPECT_TRUE(failures.empty()) << failures.front();
      const routing::BackendReport report = farm.state(0)->Report(0);
      const auto expected = probe >= one.first ? routing::Health::kDown : routing::Health::kUp;
      EXPECT_EQ(report.health, expected) << ServerFaultName(one.fault) << " by "
                                         << config::ProbeName(probe) << ": " << report.last_failure;
      EXPECT_EQ(report.reason.empty(), expected == routing::Health::kUp);
      EXPECT_FALSE(absl::StrContains(report.reason, "canary secret")) << report.reason;
      EXPECT_FALSE(absl::StartsWith(report.reason, "mail1")) << report.reason;
    }
  }
  log::Configure(log::Level::kInfo);
}

// The maildrop of the canary may be open in another proxy's check.
TEST(ProbeSim, ABusyMaildropIsAGoodSign) {
  FarmSpec spec;
  spec.backends[0].scripts[0].fault = ServerFault::kPassInUse;
  spec.health.probe = Probe::kLogin;
  Farm farm(7, spec);
  EXPECT_TRUE(farm.Run().empty());
  EXPECT_EQ(farm.state(0)->Report(0).health, routing::Health::kUp);
}

}  // namespace
}  // namespace postern::sim
