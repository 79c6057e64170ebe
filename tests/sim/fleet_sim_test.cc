// Whole fleets through random trouble (fleet.h, fleet_story.h), and what they promise one by one:
// how evenly sessions are spread, how slowly a backend comes back, and that ten thousand users stay
// where they are while backends flap.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
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
using routing::Balance;

// Sanitizers take ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kShorter = 8;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
constexpr uint64_t kShorter = 8;
#else
constexpr uint64_t kShorter = 1;
#endif
#else
constexpr uint64_t kShorter = 1;
#endif

class FleetSim : public ::testing::Test {
 protected:
  // Thousands of backends go up and down here; nobody wants to read it.
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

TEST_F(FleetSim, TinyOnesKeepTheirPromises) {
  RunSeeds(400 / kShorter,
           [](uint64_t seed) { return Fleet(seed, DrawFleet(seed, FleetSize::kTiny)).Run(); });
}

TEST_F(FleetSim, LargeOnesKeepTheirPromises) {
  RunSeeds(18 / kShorter,
           [](uint64_t seed) { return Fleet(seed, DrawFleet(seed, FleetSize::kLarge)).Run(); });
}

// In this one a user is released as one of the user's logins has waited for timeouts.hold.
TEST_F(FleetSim, WhoIsReleasedInTheLastMomentGoesOn) {
  constexpr uint64_t kSeed = 12003011;
  Fleet fleet(kSeed, DrawFleet(kSeed, FleetSize::kTiny));
  EXPECT_EQ(fleet.Run(), Failures{});
  // Every end is told at once: nobody hears of a hold that is over.
  FleetStory story = fleet.story();
  story.promises.on_its_way = 0;
  EXPECT_EQ(CheckFleet(story), Failures{});
}

TEST_F(FleetSim, SameSeedSameHistory) {
  std::vector<uint64_t> hashes[2];
  for (std::vector<uint64_t>& run : hashes) {
    RunSeeds(10, [&run](uint64_t seed) {
      Fleet fleet(seed, DrawFleet(seed, FleetSize::kSmall));
      fleet.Run();
      if (seed != 0) run.push_back(fleet.trace_hash());
      return Failures();
    });
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

// A fleet in which nothing happens would keep every promise, too: nearly everything is met.
TEST_F(FleetSim, SmallOnesKeepTheirPromises) {
  std::map<std::string, int> seen;
  RunSeeds(400 / kShorter, [&seen](uint64_t seed) {
    Fleet fleet(seed, DrawFleet(seed, FleetSize::kSmall));
    Failures failures = fleet.Run();
    const FleetStory& story = fleet.story();
    if (fleet.waited() > 0) ++seen["waited in a line"];
    for (const FleetVisit& visit : story.visits) {
      ++seen[std::string(CloseReasonName(visit.reason))];
      if (visit.gave_up) ++seen["gave up"];
    }
    for (const FleetMove& move : story.moves) {
      if (move.time.until > move.time.from + kSecond) ++seen["a move that took time"];
    }
    for (const FleetHold& hold : story.holds) {
      for (const FleetVisit& visit : story.visits) {
        if (visit.user == hold.user && hold.time.Meets(visit.came, visit.ended)) ++seen["held"];
      }
    }
    for (const FleetReload& reload : story.reloads) {
      if (reload.moved > 0) ++seen["a reload that moved users"];
    }
    for (size_t i = 0; i < story.backends.size(); ++i) {
      const FleetBackendStory& backend = story.backends[i];
      if (!backend.down.empty()) ++seen["found down"];
      if (backend.up.size() > 1) ++seen["came back"];
      if (!backend.tempting.empty()) ++seen["misleading"];
      if (fleet.state(i)->Report(0).ejections > 0) ++seen["ejected"];
    }
    return failures;
  });
  if (kShorter > 1 || std::getenv("POSTERN_SIM_SEEDS") != nullptr) return;
  for (const char* what :
       {"waited in a line", "gave up", "a move that took time", "held", "a reload that moved users",
        "found down", "came back", "misleading", "ejected", "quit", "client_closed",
        "upstream_closed", "upstream_truncated", "upstream_unavailable", "kicked", "drained",
        "backend_down", "held"}) {
    EXPECT_GT(seen[what], 2) << what;
  }
}

// --- how evenly ---

struct Spread {
  Balance balance;
  size_t backends;
  bool equal;
  int bound_percent;
  FleetEvenness evenness;
};

TEST_F(FleetSim, SessionsAreSpreadAsPromised) {
  constexpr Spread kSpreads[] = {
      {Balance::kRendezvous, 10, true, 0, FleetEvenness::kByUser},
      {Balance::kRendezvous, 7, false, 0, FleetEvenness::kByUser},
      {Balance::kMaglev, 10, true, 0, FleetEvenness::kByUser},
      {Balance::kMaglev, 7, false, 0, FleetEvenness::kByUser},
      {Balance::kRendezvous, 10, true, 120, FleetEvenness::kBounded},
      {Balance::kMaglev, 7, false, 110, FleetEvenness::kBounded},
      {Balance::kLeastSessions, 12, true, 0, FleetEvenness::kFewest},
      {Balance::kLeastSessions, 12, false, 0, FleetEvenness::kFewest},
      {Balance::kLeastSessions, 60, true, 0, FleetEvenness::kFewestOfSome},
      {Balance::kRoundRobin, 10, true, 0, FleetEvenness::kInTurn},
      {Balance::kRoundRobin, 10, false, 0, FleetEvenness::kInTurn},
  };
  for (const Spread& spread : kSpreads) {
    SCOPED_TRACE(absl::StrCat("balance ", static_cast<int>(spread.balance), ", ", spread.backends,
                              " backends, bound ", spread.bound_percent));
    RunSeeds(5, [&spread](uint64_t seed) {
      FleetSpec spec = CalmFleet(seed, spread.backends, 600, spread.balance);
      spec.pool.load_bound_percent = spread.bound_percent;
      std::vector<uint32_t> weights;
      for (size_t i = 0; i < spread.backends; ++i) {
        if (!spread.equal) spec.backends[i].weight = static_cast<uint32_t>(50 * (1 + i % 4));
        weights.push_back(spec.backends[i].weight);
      }
      Fleet fleet(seed, std::move(spec));
      Failures failures = fleet.Run();
      if (fleet.sessions_most() != 600) failures.push_back("not all were there at the same time");
      std::vector<int64_t> sessions(spread.backends);
      for (const FleetStay& stay : fleet.story().stays) {
        ++sessions[static_cast<size_t>(stay.backend)];
      }
      for (std::string& failure :
           CheckEvenness(sessions, weights, spread.evenness, spread.bound_percent)) {
        failures.push_back(std::move(failure));
      }
      return failures;
    });
  }
}

// --- slow start ---

// One of five is away for a while. Users come at random moments, each once, so how many of them a
// window brings is binomial: six standard deviations are allowed.
Failures CheckRamp(const FleetStory& story, DurationNs slow_start, DurationNs apart) {
  Failures failures;
  const std::vector<FleetSpan>& up = story.backends[0].up;
  if (up.size() != 2) return {"it should have gone up, down, up"};
  const DurationNs back = up[1].from;
  const DurationNs window = slow_start / 8;
  for (int i = 0; i < 12; ++i) {
    const DurationNs from = back + i * window;
    const double ramp = std::clamp((i + 1) / 8.0, 0.05, 1.0);
    const double share = ramp / (4 + ramp);
    const auto comers = static_cast<double>(window / apart);
    const auto count = static_cast<double>(
        std::count_if(story.stays.begin(), story.stays.end(), [&](const FleetStay& stay) {
          return stay.backend == 0 && stay.time.from >= from && stay.time.from < from + window;
        }));
    const double due = comers * share;
    if (count > due + 6 * std::sqrt(due) + 3) {
      failures.push_back(
          absl::StrCat("window ", i, " brought ", count, " users, ", due, " were due"));
    }
    if (i >= 8 && count < due - 6 * std::sqrt(due)) {
      failures.push_back(absl::StrCat("window ", i, " brought ", count, " users only of ", due));
    }
  }
  return failures;
}

FleetSpec OneComesBack(uint64_t seed, Balance balance, DurationNs slow_start, DurationNs apart) {
  FleetSpec spec = CalmFleet(seed, 5, 2600, balance);
  for (size_t i = 0; i < spec.clients.size(); ++i) {
    spec.clients[i].comes = static_cast<DurationNs>(i) * apart;
    spec.clients[i].stays = 0;
  }
  spec.lasts = static_cast<DurationNs>(spec.clients.size()) * apart;
  spec.pool.slow_start = slow_start;
  spec.health.probe = config::Probe::kTcp;
  spec.backends[0].outages = {
      {{5 * kSecond, 20 * kSecond}, ConnectAnswer::Kind::kRefuse, /*crash=*/true}};
  return spec;
}

TEST_F(FleetSim, WhoComesBackIsLoadedSlowly) {
  constexpr DurationNs kSlowStart = 40 * kSecond;
  constexpr DurationNs kApart = 40 * kMillisecond;
  for (const Balance balance : {Balance::kRendezvous, Balance::kMaglev, Balance::kRoundRobin}) {
    SCOPED_TRACE(absl::StrCat("balance ", static_cast<int>(balance)));
    RunSeeds(4, [balance](uint64_t seed) {
      Fleet fleet(seed, OneComesBack(seed, balance, kSlowStart, kApart));
      Failures failures = fleet.Run();
      for (std::string& failure : CheckRamp(fleet.story(), kSlowStart, kApart)) {
        failures.push_back(std::move(failure));
      }
      return failures;
    });
    // What the check is able to see: without a ramp all come at once.
    Fleet fleet(1, OneComesBack(1, balance, 0, kApart));
    EXPECT_EQ(fleet.Run(), Failures{});
    EXPECT_NE(CheckRamp(fleet.story(), kSlowStart, kApart), Failures{});
  }
}

// --- ten thousand users ---

// All of them are there at the same time, a fifth of them twice, while every backend of twenty
// flaps, half of the times with a crash; who was cut off comes again.
FleetSpec TenThousand(bool affinity) {
  constexpr size_t kUsers = 10000;
  constexpr size_t kBackends = 20;
  Random random(10000);
  FleetSpec spec;
  spec.workers = 4;
  spec.lasts = 150 * kSecond;
  spec.pool.failover = true;
  spec.pool.affinity = affinity;
  spec.pool.queue.wait = 40 * kSecond;
  spec.pool.queue.waiting_max = 100000;
  spec.health.probe = config::Probe::kTcp;
  spec.health.timeout = kSecond;
  spec.backends.resize(kBackends);
  for (FleetBackend& backend : spec.backends) {
    DurationNs at = random.Between(60, 75) * kSecond;
    for (int i = 0; i < 4; ++i) {
      FleetOutage outage;
      outage.time = {at, at + random.Between(2, 10) * kSecond};
      outage.kind = random.Pick({ConnectAnswer::Kind::kRefuse, ConnectAnswer::Kind::kBlackhole});
      outage.crash = random.Chance(0.5);
      at = outage.time.until + random.Between(5, 15) * kSecond;
      backend.outages.push_back(outage);
    }
  }
  const auto add = [&](size_t user, DurationNs comes, DurationNs stays) {
    FleetClient client;
    client.user = absl::StrCat("user", user, "@example.net");
    client.worker = random.Below(spec.workers);
    client.comes = comes;
    client.stays = stays;
    spec.clients.push_back(client);
  };
  for (size_t i = 0; i < kUsers; ++i) {
    const DurationNs comes = random.Between(0, 50 * kSecond);
    add(i, comes, random.Between(62, 100) * kSecond - comes);
    // In the middle of the trouble: beside the first one, or where that was cut off.
    if (random.Chance(0.4))
      add(i, random.Between(62, 110) * kSecond, random.Between(1, 40) * kSecond);
  }
  return spec;
}

TEST_F(FleetSim, TenThousandUsersStayWhereTheyAre) {
  Fleet fleet(1, TenThousand(/*affinity=*/true));
  const Failures failures = fleet.Run();
  EXPECT_EQ(failures.size(), 0u) << failures.front();
  EXPECT_GE(fleet.sessions_most(), 10000u);
  size_t cut = 0;
  for (const FleetVisit& visit : fleet.story().visits) {
    cut += visit.reason == CloseReason::kUpstreamClosed ? 1 : 0;
  }
  EXPECT_GT(cut, 1000u) << "the backends should have crashed under them";
  std::map<std::string, std::set<int>> places;
  for (const FleetStay& stay : fleet.story().stays) places[stay.user].insert(stay.backend);
  const auto moved = std::count_if(places.begin(), places.end(),
                                   [](const auto& user) { return user.second.size() > 1; });
  EXPECT_GT(moved, 500) << "backends that flap should move users";
}

// The same without it: what the test above is able to see.
TEST_F(FleetSim, WithoutAffinityTheyDoNot) {
  Fleet fleet(1, TenThousand(/*affinity=*/false));
  EXPECT_EQ(fleet.Run(), Failures{});
  FleetStory story = fleet.story();
  story.promises.affinity = true;
  const Failures failures = CheckFleet(story);
  EXPECT_GT(failures.size(), 100u);
}

}  // namespace
}  // namespace postern::sim
