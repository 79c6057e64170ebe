// Logins that wait for a backend, in simulated farms: who waits is served, in order, by nobody who
// is full; and who waits in vain, or goes, leaves nothing behind.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"
#include "tests/sim/farm.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

using Failures = std::vector<std::string>;

class QueueSim : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

ClientSpec PlainClient(int number, DurationNs starts_after) {
  ClientSpec client;
  client.listener = 2;
  client.user = absl::StrCat("user", number, "@example.net");
  client.password = absl::StrCat("secret", number);
  client.commands = {"STAT\r\n", "QUIT\r\n"};
  client.starts_after = starts_after;
  return client;
}

// --- a backend is away for a while ---

constexpr DurationNs kGoes = 2 * kSecond;
constexpr DurationNs kComes = 5 * kSecond;

FarmSpec Restart(ConnectAnswer::Kind kind, bool failover) {
  FarmSpec spec;
  spec.failover = failover;
  spec.backends.assign(3, BackendSpec{});
  for (BackendSpec& backend : spec.backends) backend.outages = {{kGoes, kComes, kind}};
  if (!failover) spec.backends[1].outages = spec.backends[2].outages = {};
  spec.queue.wait = 20 * kSecond;
  for (int i = 0; i < 120; ++i) {
    spec.clients.push_back(PlainClient(i, kSecond + i * 50 * kMillisecond));
  }
  return spec;
}

Failures NobodyIsTurnedAway(Farm* farm, const FarmSpec& spec) {
  Failures failures = farm->Run();
  size_t waited = 0;
  for (size_t i = 0; i < farm->history().clients.size(); ++i) {
    const ClientStory& client = farm->history().clients[i];
    if (!client.logged_in) {
      failures.push_back(absl::StrCat(client.name, " was turned away: ", client.login_reply));
    }
    const DurationNs came = spec.clients[i].starts_after;
    waited += client.total > 200 * kMillisecond ? 1 : 0;
    if (came + client.total > kComes + 5 * kSecond) {
      failures.push_back(absl::StrCat(client.name, " was still there ",
                                      (came + client.total - kComes) / kMillisecond,
                                      " ms after the return"));
    }
  }
  if (waited < 5) failures.push_back("nobody had to wait");
  return failures;
}

class RestartSim : public QueueSim, public ::testing::WithParamInterface<ConnectAnswer::Kind> {};

TEST_P(RestartSim, IsInvisible) {
  for (const bool failover : {false, true}) {
    RunSeeds(20, [failover](uint64_t seed) {
      const FarmSpec spec = Restart(GetParam(), failover);
      Farm farm(seed, spec);
      Failures failures = NobodyIsTurnedAway(&farm, spec);
      // One looks for all: ten times a second, twice each, and who was there before the outage was
      // noticed.
      const uint64_t connects = farm.stats().backend(0).connects.Get();
      if (connects > 200) failures.push_back(absl::StrCat("it was asked ", connects, " times"));
      return failures;
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, RestartSim,
                         ::testing::Values(ConnectAnswer::Kind::kRefuse,
                                           ConnectAnswer::Kind::kUnreachable),
                         [](const auto& kind) {
                           return kind.param == ConnectAnswer::Kind::kRefuse ? "Refuses"
                                                                             : "Unreachable";
                         });

// Checks take it out, and bring it back some seconds later.
TEST_F(QueueSim, ABackendThatIsFoundDownIsWaitedFor) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = Restart(ConnectAnswer::Kind::kRefuse, /*failover=*/false);
    spec.health.probe = config::Probe::kGreeting;
    spec.health.interval = kSecond;
    spec.health_for = 20 * kSecond;
    Farm farm(seed, spec);
    Failures failures = NobodyIsTurnedAway(&farm, spec);
    if (farm.state(0)->Report(0).changes < 3) failures.push_back("it was never found down");
    return failures;
  });
}

// Whoever has the turn meets a backend that is silent until the timeout: the others need not wait
// for that.
TEST_F(QueueSim, ATurnThatLeadsNowhereHoldsNobodyUpForLong) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec;
    spec.failover = true;
    spec.backends.assign(2, BackendSpec{});
    for (BackendSpec& backend : spec.backends) {
      backend.outages = {{kGoes, kComes, ConnectAnswer::Kind::kRefuse}};
    }
    spec.backends[seed % 2].outages.push_back(
        {kComes, 90 * kSecond, ConnectAnswer::Kind::kBlackhole});
    spec.timeouts.upstream_connect = 10 * kSecond;
    spec.queue.wait = 50 * kSecond;
    for (int i = 0; i < 12; ++i) {
      spec.clients.push_back(PlainClient(i, kGoes + kSecond + i * 10 * kMillisecond));
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    DurationNs first = kNever;
    for (size_t i = 0; i < spec.clients.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      if (!client.logged_in) failures.push_back(client.name + " was turned away");
      first = std::min(first, spec.clients[i].starts_after + client.total);
    }
    if (first > kComes + 5 * kSecond) {
      failures.push_back(absl::StrCat("the first was served after ", first / kMillisecond, " ms"));
    }
    return failures;
  });
}

// An ejection would last longer than anybody waits; whoever stands first puts it to the test.
TEST_F(QueueSim, AnEjectedBackendIsPutToTheTest) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = Restart(ConnectAnswer::Kind::kRefuse, /*failover=*/false);
    spec.eject.failures = 3;
    spec.eject.time = 300 * kSecond;
    Farm farm(seed, spec);
    Failures failures = NobodyIsTurnedAway(&farm, spec);
    if (farm.state(0)->Report(0).ejections == 0) failures.push_back("it was never ejected");
    return failures;
  });
}

// --- a backend is full ---

struct Stay {
  DurationNs from;
  DurationNs until;
};

TEST_F(QueueSim, LimitsHoldAndEverybodyIsServedInOrder) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec;
    spec.shared_users = true;  // for the times
    spec.backends[0].limits = {3, 2};
    spec.queue.wait = 50 * kSecond;
    for (int i = 0; i < 30; ++i) {
      ClientSpec client = PlainClient(i, i * 20 * kMillisecond);
      client.deaf_for = kSecond;
      spec.clients.push_back(client);
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (const ClientStory& client : farm.history().clients) {
      if (!client.logged_in) failures.push_back(client.name + " was turned away");
    }
    std::vector<Stay> stays;
    std::map<DurationNs, std::string> order;
    for (const ServerStory& server : farm.history().servers) {
      if (server.logged_in_at < 0) continue;
      stays.push_back({server.logged_in_at, server.ended_at});
      order[server.logged_in_at] = server.record.user;
    }
    for (const Stay& stay : stays) {
      const auto at_once = std::count_if(stays.begin(), stays.end(), [&stay](const Stay& other) {
        return other.from <= stay.from && stay.from < other.until;
      });
      if (at_once > 3) failures.push_back(absl::StrCat(at_once, " sessions at once"));
    }
    // Whoever came much later was not served before.
    int latest = -1;
    for (const auto& [at, user] : order) {
      const int number = std::atoi(user.c_str() + 4);
      if (number < latest - 3) failures.push_back(absl::StrCat(user, " was overtaken"));
      latest = std::max(latest, number);
    }
    return failures;
  });
}

TEST_F(QueueSim, AFullQueueTurnsAwayAtOnce) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec;
    spec.backends[0].limits = {1, 0};
    spec.queue.wait = 30 * kSecond;
    spec.queue.waiting_max = 4;
    for (int i = 0; i < 12; ++i) {
      ClientSpec client = PlainClient(i, i * 50 * kMillisecond);
      client.deaf_for = 2 * kSecond;
      spec.clients.push_back(client);
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    int served = 0;
    for (const ClientStory& client : farm.history().clients) {
      served += client.logged_in ? 1 : 0;
      if (client.logged_in) continue;
      if (!absl::StartsWith(client.login_reply, "-ERR [SYS/TEMP]")) {
        failures.push_back(absl::StrCat(client.name, " was told ", client.login_reply));
      }
      if (client.total > 200 * kMillisecond) {
        failures.push_back(absl::StrCat(client.name, " was turned away after ",
                                        client.total / kMillisecond, " ms"));
      }
    }
    if (served != 5) failures.push_back(absl::StrCat(served, " were served"));
    const uint64_t full =
        farm.stats().backend(0).errors[static_cast<size_t>(metrics::UpstreamError::kFull)].Get();
    if (full != 7) failures.push_back(absl::StrCat(full, " were counted as full"));
    return failures;
  });
}

TEST_F(QueueSim, WithoutAQueueFullMeansNo) {
  FarmSpec spec;
  spec.backends[0].limits = {1, 0};
  for (int i = 0; i < 3; ++i) {
    ClientSpec client = PlainClient(i, i * 50 * kMillisecond);
    client.deaf_for = 2 * kSecond;
    spec.clients.push_back(client);
  }
  Farm farm(3, spec);
  EXPECT_TRUE(farm.Run().empty());
  EXPECT_TRUE(farm.history().clients[0].logged_in);
  for (const size_t i : {1u, 2u}) {
    EXPECT_FALSE(farm.history().clients[i].logged_in);
    EXPECT_TRUE(absl::StartsWith(farm.history().clients[i].login_reply, "-ERR [SYS/TEMP]"));
  }
}

// With failover there is room as long as any backend has some.
TEST_F(QueueSim, TheNextOneTakesWhatTheFirstCannot) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec;
    spec.failover = true;
    spec.backends.assign(4, BackendSpec{});
    for (BackendSpec& backend : spec.backends) backend.limits = {5, 0};
    for (int i = 0; i < 20; ++i) {
      ClientSpec client = PlainClient(i, i * 10 * kMillisecond);
      client.deaf_for = 2 * kSecond;
      spec.clients.push_back(client);
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (const ClientStory& client : farm.history().clients) {
      if (!client.logged_in) failures.push_back(client.name + " was turned away");
    }
    return failures;
  });
}

// --- those who wait in vain ---

TEST_F(QueueSim, WhoGoesWhileWaitingLeavesNothing) {
  RunSeeds(30, [](uint64_t seed) {
    FarmSpec spec;
    spec.backends[0].outages = {{0, 3 * kSecond, ConnectAnswer::Kind::kRefuse}};
    spec.queue.wait = 20 * kSecond;
    for (int i = 0; i < 20; ++i) {
      ClientSpec client = PlainClient(i, i * 10 * kMillisecond);
      if (i % 2 == 0) {
        client.farewell = Farewell::kResetSometime;
        client.resets_after = kSecond + i * 30 * kMillisecond;
      }
      if (i % 3 == 0) client.login = LoginKind::kEverythingAtOnce;
      spec.clients.push_back(client);
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (size_t i = 0; i < spec.clients.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      const bool goes = i % 2 == 0;
      if (client.logged_in == goes) {
        failures.push_back(
            absl::StrCat(client.name, goes ? " went and was logged in" : " was turned away"));
      }
      if (goes && client.total > 3 * kSecond) {
        failures.push_back(client.name + " was gone and still waited");
      }
    }
    return failures;
  });
}

TEST_F(QueueSim, ADrainEndsTheWaiting) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec;
    spec.backends[0].outages = {{0, 60 * kSecond, ConnectAnswer::Kind::kRefuse}};
    spec.queue.wait = 30 * kSecond;
    spec.drain_after = 2 * kSecond;
    for (int i = 0; i < 10; ++i) spec.clients.push_back(PlainClient(i, i * 10 * kMillisecond));
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (const ClientStory& client : farm.history().clients) {
      if (!absl::StrContains(client.login_reply, "[SYS/TEMP] The server is shutting down")) {
        failures.push_back(absl::StrCat(client.name, " was told ", client.login_reply));
      }
      if (client.total > 3 * kSecond) failures.push_back(client.name + " waited on");
    }
    return failures;
  });
}

TEST_F(QueueSim, PatienceEnds) {
  RunSeeds(10, [](uint64_t seed) {
    FarmSpec spec;
    spec.backends[0].absent = true;
    spec.queue.wait = 4 * kSecond;
    for (int i = 0; i < 8; ++i) spec.clients.push_back(PlainClient(i, i * 100 * kMillisecond));
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (const ClientStory& client : farm.history().clients) {
      if (!absl::StartsWith(client.login_reply, "-ERR [SYS/TEMP]")) {
        failures.push_back(absl::StrCat(client.name, " was told ", client.login_reply));
      }
      const bool in_time = client.total > 3500 * kMillisecond && client.total < 5 * kSecond;
      if (!in_time) {
        failures.push_back(
            absl::StrCat(client.name, " waited ", client.total / kMillisecond, " ms"));
      }
    }
    return failures;
  });
}

// A backend that vanishes with the password is asked again, and nobody else is.
TEST_F(QueueSim, ThePasswordStaysWithWhoHasSeenIt) {
  RunSeeds(30, [](uint64_t seed) {
    FarmSpec spec;
    spec.failover = true;
    spec.backends.assign(3, BackendSpec{});
    spec.queue.wait = 20 * kSecond;
    for (BackendSpec& backend : spec.backends) {
      ServerScript vanishes;
      vanishes.fault = ServerFault::kCloseAtPass;
      backend.scripts.push_back(vanishes);
    }
    for (int i = 0; i < 20; ++i) spec.clients.push_back(PlainClient(i, i * 10 * kMillisecond));
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    int logged_in = 0;
    for (const ClientStory& client : farm.history().clients) logged_in += client.logged_in ? 1 : 0;
    std::map<std::string, size_t> place;
    for (const ServerStory& server : farm.history().servers) {
      for (const std::string& password : server.record.passwords_offered) {
        const auto [at, is_new] = place.try_emplace(password, server.backend);
        if (!is_new && at->second != server.backend) {
          failures.push_back("two backends have seen " + password);
        }
      }
    }
    // Half of the attempts fail, and each login has four: one in sixteen is lost.
    if (logged_in < 14) failures.push_back(absl::StrCat("only ", logged_in, " were logged in"));
    return failures;
  });
}

// Neither where another session of the user lives by now.
TEST_F(QueueSim, AnotherSessionElsewhereIsNoReasonToShowAPassword) {
  size_t vanished = 0;
  RunSeeds(20, [&vanished](uint64_t seed) {
    FarmSpec spec;
    spec.failover = true;
    spec.shared_users = true;
    spec.backends.assign(2, BackendSpec{});
    spec.queue.wait = 20 * kSecond;
    BackendSpec& bad = spec.backends[seed % 2];
    ServerScript vanishes;
    vanishes.fault = ServerFault::kCloseAtPass;
    bad.bad_spells = {{0, kSecond / 2, vanishes}};
    bad.outages = {{kSecond / 2, 60 * kSecond, ConnectAnswer::Kind::kRefuse}};
    ClientSpec first = PlainClient(1, 0);
    first.password = "of the first";
    first.password_right = false;
    ClientSpec second = PlainClient(1, 3 * kSecond / 2);
    second.idle_for = 15 * kSecond;
    spec.clients = {first, second};
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    std::set<size_t> seen_by;
    for (const ServerStory& server : farm.history().servers) {
      const auto& offered = server.record.passwords_offered;
      if (std::find(offered.begin(), offered.end(), first.password) == offered.end()) continue;
      seen_by.insert(server.backend);
    }
    if (seen_by.size() > 1) failures.push_back("two backends have seen the first one's password");
    if (!farm.history().clients[1].logged_in) failures.push_back("the second was turned away");
    vanished += seen_by.count(seed % 2);
    return failures;
  });
  EXPECT_GT(vanished, 0u) << "the user is never where this happens";
}

}  // namespace
}  // namespace postern::sim
