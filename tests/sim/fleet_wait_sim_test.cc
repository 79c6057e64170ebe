// What a reload, and sessions that end, mean for those who wait and for the checks.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"
#include "tests/sim/fleet.h"
#include "tests/sim/fleet_spec.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

using Failures = std::vector<std::string>;

class FleetWaitSim : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

FleetClient Client(const std::string& user, DurationNs comes, DurationNs stays) {
  FleetClient client;
  client.user = user;
  client.comes = comes;
  client.stays = stays;
  return client;
}

FleetOrder Order(FleetOrder::Kind kind, size_t backend, DurationNs at, int64_t value = 0) {
  FleetOrder order;
  order.kind = kind;
  order.backend = backend;
  order.at = at;
  order.value = value;
  return order;
}

FleetSpec Backends(size_t count, DurationNs queue_wait) {
  FleetSpec spec;
  spec.workers = 1;
  spec.pool.failover = true;
  spec.pool.queue.wait = queue_wait;
  spec.health.probe = config::Probe::kTcp;
  spec.health.timeout = kSecond;
  spec.backends.resize(count);
  return spec;
}

// Adds a sentence for each client that came in `from` to `until` and was not logged in soon.
void CheckServed(const FleetSpec& spec, const FleetStory& story, DurationNs from, DurationNs until,
                 DurationNs within, Failures* failures) {
  for (size_t i = 0; i < spec.clients.size(); ++i) {
    const FleetClient& client = spec.clients[i];
    if (client.comes < from || client.comes >= until) continue;
    bool served = false;
    for (const FleetStay& stay : story.stays) {
      served = served || (stay.user == client.user && stay.time.from >= client.comes &&
                          stay.time.from < client.comes + within);
    }
    if (!served) failures->push_back(absl::StrCat(story.visits[i].name, " was not served soon"));
  }
}

// One of two backends is not in use. The other one has two seats, which become free after 10 and
// after 20 s; six have waited for them since 5 s, so that four are left in a line that is slow.
FleetSpec SlowLine() {
  FleetSpec spec = Backends(2, 40 * kSecond);
  spec.backends[0].limits.sessions_max = 2;
  for (int i = 1; i <= 2; ++i) {
    spec.clients.push_back(Client(absl::StrCat("early", i, "@example.net"), 0, i * 10 * kSecond));
  }
  for (int i = 0; i < 6; ++i) {
    spec.clients.push_back(
        Client(absl::StrCat("waits", i, "@example.net"), 5 * kSecond, 100 * kSecond));
  }
  return spec;
}

// Those who wait go by a configuration without the second backend. Who comes when it has been added
// has nothing to wait for; and who then waits for a seat there does not wait for them.
TEST_F(FleetWaitSim, OldLoginsHoldUpNobodyAfterAReload) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = SlowLine();
    spec.workers = 1 + seed % 3;
    spec.backends[1].limits.sessions_max = 1;
    spec.backends[1].configured = false;
    spec.orders = {Order(FleetOrder::Kind::kAdd, 1, 22 * kSecond)};
    for (int i = 0; i < 15; ++i) {
      const bool burst = i > 10;
      spec.clients.push_back(Client(absl::StrCat("new", i, "@example.net"),
                                    (burst ? 35 : 23 + i) * kSecond, 300 * kMillisecond));
    }
    for (size_t i = 0; i < spec.clients.size(); ++i) spec.clients[i].worker = i % spec.workers;
    Fleet fleet(seed, spec);
    Failures failures = fleet.Run();
    CheckServed(spec, fleet.story(), 23 * kSecond, 35 * kSecond, 60 * kMillisecond, &failures);
    CheckServed(spec, fleet.story(), 35 * kSecond, 40 * kSecond, 3 * kSecond, &failures);
    return failures;
  });
}

// In the moment in which the second backend is enabled there is room, and nobody in line knows of
// it yet: whoever comes then is not told that it takes too long.
TEST_F(FleetWaitSim, ALineThatIsAboutToBeCalledIsNotSlow) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = SlowLine();
    spec.orders = {Order(FleetOrder::Kind::kDrain, 1, 0),
                   Order(FleetOrder::Kind::kEnable, 1, 22 * kSecond)};
    for (int i = 1; i < 20; ++i) {
      spec.clients.push_back(Client(absl::StrCat("new", i, "@example.net"),
                                    22 * kSecond + i * 5 * kMillisecond, kSecond));
    }
    Fleet fleet(seed, spec);
    Failures failures = fleet.Run();
    CheckServed(spec, fleet.story(), 22 * kSecond, 23 * kSecond, kSecond, &failures);
    return failures;
  });
}

// Two users with a session each at a backend that went silent come once more, and have to wait for
// it. When the second one's session ends it may go anywhere, although the first one still waits.
TEST_F(FleetWaitSim, WhoseSessionEndsWaitsNoLongerForItsBackend) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = Backends(2, 40 * kSecond);
    spec.lasts = 100 * kSecond;
    spec.backends[1].configured = false;
    spec.backends[0].outages = {
        {{10 * kSecond, 90 * kSecond}, ConnectAnswer::Kind::kRefuse, /*crash=*/false}};
    spec.clients = {
        Client("anna@example.net", 0, 95 * kSecond), Client("bert@example.net", 0, 30 * kSecond),
        Client("anna@example.net", 24 * kSecond, 0), Client("bert@example.net", 25 * kSecond, 0)};
    spec.orders = {Order(FleetOrder::Kind::kAdd, 1, 5 * kSecond)};
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    const std::vector<FleetVisit>& visits = fleet.story().visits;
    if (visits[2].logged_in) failures.push_back("a user was at two backends");
    if (!visits[3].logged_in || visits[3].backend != 1 || visits[3].ended > 32 * kSecond) {
      failures.push_back(
          absl::StrCat("the second one was done after ", visits[3].ended / kMillisecond, " ms"));
    }
    return failures;
  });
}

// The first in line is put on hold and passes its turn on, so that the second one sees it when the
// backend is enabled, for which nobody is called.
TEST_F(FleetWaitSim, AHeldLoginHoldsUpNobodyBehindIt) {
  RunSeeds(8, [](uint64_t seed) {
    constexpr DurationNs kEnabled = 20 * kSecond;
    FleetSpec spec = Backends(1, 40 * kSecond);
    // The second one would look by itself at 7.6 s, 8.6 s and so on.
    spec.clients = {Client("anna@example.net", 5 * kSecond, 0),
                    Client("bert@example.net", 6600 * kMillisecond, 0)};
    spec.orders = {Order(FleetOrder::Kind::kDisable, 0, 2 * kSecond),
                   Order(FleetOrder::Kind::kHold, 0, kEnabled - 300 * kMillisecond),
                   Order(FleetOrder::Kind::kEnable, 0, kEnabled),
                   Order(FleetOrder::Kind::kRelease, 0, 30 * kSecond)};
    for (FleetOrder& order : spec.orders) order.user = "anna@example.net";
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    const std::vector<FleetVisit>& visits = fleet.story().visits;
    if (!visits[0].logged_in || visits[0].ended > 31 * kSecond) {
      failures.push_back("the first one was not served after its release");
    }
    if (!visits[1].logged_in || visits[1].ended > kEnabled + 400 * kMillisecond) {
      failures.push_back(
          absl::StrCat("the second one was done after ", visits[1].ended / kMillisecond, " ms"));
    }
    return failures;
  });
}

// Reloads come faster than a check is over. The promises of the checks hold nevertheless.
TEST_F(FleetWaitSim, ReloadsDelayNoCheck) {
  for (const auto kind : {ConnectAnswer::Kind::kRefuse, ConnectAnswer::Kind::kBlackhole}) {
    RunSeeds(8, [kind](uint64_t seed) {
      FleetSpec spec = Backends(3, 0);
      spec.health.interval = 5 * kSecond;
      spec.backends[0].outages = {{{10 * kSecond, 40 * kSecond}, kind, /*crash=*/false}};
      for (int i = 1; i < 120; ++i) {
        spec.orders.push_back(Order(FleetOrder::Kind::kReweight, 1, i * kSecond / 2, 100 + i % 2));
      }
      Fleet fleet(seed, std::move(spec));
      Failures failures = fleet.Run();
      const FleetBackendStory& backend = fleet.story().backends[0];
      if (backend.down.size() != 1 || backend.up.size() != 2) {
        failures.push_back("it should have gone up, down, up");
      }
      return failures;
    });
  }
}

// Each check of a backend that takes its time with the greeting lasts as long as that.
TEST_F(FleetWaitSim, WhoAnswersSlowlyIsTrustedLater) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = Backends(2, 0);
    spec.health.probe = config::Probe::kGreeting;
    spec.health.timeout = 3 * kSecond;
    spec.health.rise = 6;
    spec.backends[0].pace.chunk_max = 1000;
    spec.backends[0].pace.chunk_delay = 2500 * kMillisecond;
    spec.backends[0].outages = {
        {{10 * kSecond, 40 * kSecond}, ConnectAnswer::Kind::kRefuse, /*crash=*/false}};
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    const FleetBackendStory& backend = fleet.story().backends[0];
    if (backend.down.size() != 1) failures.push_back("it should have been found down once");
    if (backend.up.size() != 2) failures.push_back("it should have been trusted again");
    return failures;
  });
}

// It was found down, taken out of the configuration, mended and added again: nobody has asked it
// since, so nothing is known of it, and it is used until a check says otherwise.
TEST_F(FleetWaitSim, WhatIsNotCheckedAnyMoreIsForgotten) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = Backends(2, 0);
    spec.health.interval = 5 * kSecond;
    spec.health.rise = 3;
    spec.backends[0].outages = {
        {{5 * kSecond, 25 * kSecond}, ConnectAnswer::Kind::kRefuse, /*crash=*/false}};
    spec.orders = {Order(FleetOrder::Kind::kRemove, 0, 20 * kSecond),
                   Order(FleetOrder::Kind::kAdd, 0, 50 * kSecond)};
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    const FleetBackendStory& backend = fleet.story().backends[0];
    if (backend.down.size() != 1) failures.push_back("it should have been found down once");
    if (backend.up.size() != 2 || backend.up[1].from > 51 * kSecond) {
      failures.push_back("it should have been asked at once");
    }
    return failures;
  });
}

// The answer to QUIT is there, and the backend keeps the connection open until it is drained.
TEST_F(FleetWaitSim, AnAnsweredQuitIsAQuitHoweverTheSessionEnds) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = Backends(1, 0);
    spec.backends[0].lingers = true;
    for (int i = 0; i < 12; ++i) {
      spec.clients.push_back(Client(absl::StrCat("user", i, "@example.net"), i * kSecond, kSecond));
    }
    spec.orders = {Order(FleetOrder::Kind::kDrainOver, 0, 20 * kSecond, 10 * kSecond)};
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    for (const FleetVisit& visit : fleet.story().visits) {
      if (visit.reason != CloseReason::kQuit || visit.ended < 20 * kSecond) {
        failures.push_back(absl::StrCat(visit.name, " ended as ", CloseReasonName(visit.reason)));
      }
    }
    return failures;
  });
}

}  // namespace
}  // namespace postern::sim
