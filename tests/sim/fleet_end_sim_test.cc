// Sessions of a backend that is drained with an end, or that died, end spread over a time: evenly,
// and without cutting what is being said.
#include <algorithm>
#include <map>
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

constexpr DurationNs kBegin = 20 * kSecond;
constexpr DurationNs kOver = 20 * kSecond;

class EndSim : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

// Everybody is at the first of two backends when the second one is added, and the first goes.
FleetSpec OneGoes(uint64_t seed, size_t users) {
  FleetSpec spec = CalmFleet(seed, 2, users, routing::Balance::kRendezvous);
  spec.workers = 1 + seed % 4;
  spec.backends[1].configured = false;
  spec.lasts = 100 * kSecond;
  FleetOrder add;
  add.kind = FleetOrder::Kind::kAdd;
  add.backend = 1;
  add.at = kBegin - kSecond;
  spec.orders.push_back(add);
  for (size_t i = 0; i < users; ++i) {
    spec.clients[i].worker = i % spec.workers;
    spec.clients[i].stays = 200 * kSecond;
  }
  return spec;
}

void DrainOver(FleetSpec* spec) {
  FleetOrder drain;
  drain.kind = FleetOrder::Kind::kDrainOver;
  drain.at = kBegin;
  drain.value = kOver;
  spec->orders.push_back(drain);
}

// Silence, without a crash: sessions hang on.
void GoSilent(FleetSpec* spec) {
  spec->health.probe = config::Probe::kGreeting;
  spec->health.interval = kSecond;
  spec->health.timeout = kSecond;
  spec->health.end_over = kOver;
  spec->backends[0].outages = {
      {{kBegin, 90 * kSecond}, ConnectAnswer::Kind::kBlackhole, /*crash=*/false}};
}

std::vector<DurationNs> EndsBy(const FleetStory& story, CloseReason reason) {
  std::vector<DurationNs> ends;
  for (const FleetVisit& visit : story.visits) {
    if (visit.reason == reason) ends.push_back(visit.client_ended);
  }
  return ends;
}

TEST_F(EndSim, ADrainEndsIdleSessionsEvenly) {
  for (const size_t users : {7u, 60u, 600u}) {
    RunSeeds(8, [users](uint64_t seed) {
      FleetSpec spec = OneGoes(seed, users);
      DrainOver(&spec);
      Fleet fleet(seed, std::move(spec));
      Failures failures = fleet.Run();
      const std::vector<DurationNs> ends = EndsBy(fleet.story(), CloseReason::kDrained);
      if (ends.size() != users) {
        failures.push_back(absl::StrCat(ends.size(), " were ended of ", users));
      }
      // Each worker keeps the time for itself, so each may be a session behind; a step is 1 %.
      const FleetSpan time = {kBegin, kBegin + kOver};
      const int slack = users < 100 ? 20 : 3;
      for (std::string& failure : CheckSpreadEnds(ends, time, slack)) {
        failures.push_back(std::move(failure));
      }
      return failures;
    });
  }
}

TEST_F(EndSim, ADeadBackendsSessionsEndEvenly) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = OneGoes(seed, 600);
    GoSilent(&spec);
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    const std::vector<FleetSpan>& down = fleet.story().backends[0].down;
    if (down.size() != 1) return Failures{"it should have been found down once"};
    const std::vector<DurationNs> ends = EndsBy(fleet.story(), CloseReason::kBackendDown);
    if (ends.size() != 600) failures.push_back(absl::StrCat(ends.size(), " were ended of 600"));
    // The watch looks twice a second: that is 2.5 % of the time.
    const FleetSpan time = {down[0].from, down[0].from + kOver};
    for (std::string& failure : CheckSpreadEnds(ends, time, 6)) {
      failures.push_back(std::move(failure));
    }
    return failures;
  });
}

// It comes back in the middle: whoever is still there stays.
TEST_F(EndSim, ABackendThatComesBackKeepsTheRest) {
  RunSeeds(8, [](uint64_t seed) {
    FleetSpec spec = OneGoes(seed, 300);
    GoSilent(&spec);
    spec.backends[0].outages[0].time.until = kBegin + 12 * kSecond;
    Fleet fleet(seed, std::move(spec));
    Failures failures = fleet.Run();
    const std::vector<DurationNs> ends = EndsBy(fleet.story(), CloseReason::kBackendDown);
    const size_t stayed = EndsBy(fleet.story(), CloseReason::kQuit).size();
    if (ends.size() < 50 || stayed < 50 || ends.size() + stayed != 300) {
      failures.push_back(absl::StrCat(ends.size(), " were ended and ", stayed, " stayed"));
    }
    for (const DurationNs end : ends) {
      const bool late = end > fleet.story().backends[0].up.back().from + kSecond;
      if (late) failures.push_back("a session was ended when its backend was back");
    }
    return failures;
  });
}

// --- transfers and QUITs ---

// Transfers of some seconds all the time, and some that outlast everything; QUITs likewise.
FleetSpec BusyOneGoes(uint64_t seed) {
  Random random(seed ^ 0xB05);
  FleetSpec spec = OneGoes(seed, 240);
  spec.message_bytes = 12000;
  spec.backends[0].pace.chunk_max = 1000;
  spec.backends[0].pace.chunk_delay = 600 * kMillisecond;
  for (FleetClient& client : spec.clients) {
    client.comes = random.Between(0, (kBegin + kOver / 2) / kSecond) * kSecond;
    client.retrievals = static_cast<int>(random.Below(6));
    client.stays = random.Chance(0.5) ? random.Between(0, 40 * kSecond) : 0;
  }
  return spec;
}

struct Counts {
  size_t ended = 0;  // by the spread, before the time was over
  size_t last = 0;   // when it was over
  size_t cut = 0;    // of those: inside an answer
  size_t quits = 0;  // carried out meanwhile
};

// What was said when `time` went by. Users are all different.
Failures CheckNothingIsCut(const FleetStory& story, CloseReason reason, const FleetSpan& time,
                           Counts* counts) {
  Failures failures;
  std::map<std::string, const FleetStay*> stays;
  for (const FleetStay& stay : story.stays) stays[stay.user] = &stay;
  for (const FleetVisit& visit : story.visits) {
    if (!visit.logged_in) continue;
    const FleetStay& stay = *stays.at(visit.user);
    const std::vector<size_t>& ends = stay.answer_ends;
    const bool whole =
        visit.heard_bytes == 0 || std::count(ends.begin(), ends.end(), visit.heard_bytes) > 0;
    if (visit.reason == CloseReason::kQuit) {
      counts->quits += time.Covers(visit.ended, visit.ended) ? 1 : 0;
      if (!stay.quit || !visit.heard_all) failures.push_back(visit.name + ": a QUIT was cut");
      continue;
    }
    if (visit.reason != reason) {
      failures.push_back(absl::StrCat(visit.name, " ended as ", CloseReasonName(visit.reason)));
      continue;
    }
    // Then whoever is left ends, whatever it does.
    if (visit.client_ended >= time.until) continue;
    ++counts->ended;
    // Whose QUIT has been answered has lost nothing.
    if (stay.quit && !visit.heard_all) {
      failures.push_back(visit.name + " was ended when its QUIT was there");
    }
    if (!whole) {
      failures.push_back(absl::StrCat(visit.name, " heard ", visit.heard_bytes,
                                      " bytes, and then its session was ended at ",
                                      visit.client_ended / kMillisecond, " ms"));
    }
  }
  return failures;
}

TEST_F(EndSim, NothingThatIsBeingSaidIsCut) {
  Counts counts;
  for (const bool dies : {false, true}) {
    RunSeeds(20, [dies, &counts](uint64_t seed) {
      FleetSpec spec = BusyOneGoes(seed);
      dies ? GoSilent(&spec) : DrainOver(&spec);
      // Nobody new comes to a backend that is silent.
      if (dies) spec.pool.queue.wait = 40 * kSecond;
      Fleet fleet(seed, std::move(spec));
      Failures failures = fleet.Run();
      FleetSpan time = {kBegin, kBegin + kOver};
      if (dies) {
        const std::vector<FleetSpan>& down = fleet.story().backends[0].down;
        if (down.size() != 1) return Failures{"it should have been found down once"};
        time = {down[0].from, down[0].from + kOver};
      }
      const CloseReason reason = dies ? CloseReason::kBackendDown : CloseReason::kDrained;
      for (std::string& failure : CheckNothingIsCut(fleet.story(), reason, time, &counts)) {
        failures.push_back(std::move(failure));
      }
      return failures;
    });
  }
  EXPECT_GT(counts.ended, 1000u);
  EXPECT_GT(counts.quits, 300u);
}

// What the check is able to see.
TEST_F(EndSim, ACutIsSeen) {
  FleetStory story;
  FleetVisit visit;
  visit.name = "client 0";
  visit.user = "anna";
  visit.logged_in = true;
  visit.reason = CloseReason::kDrained;
  visit.client_ended = visit.ended = kBegin + kSecond;
  FleetStay stay;
  stay.user = "anna";
  stay.answer_ends = {10, 500};
  const FleetSpan time = {kBegin, kBegin + kOver};
  const auto check = [&] {
    story.visits = {visit};
    story.stays = {stay};
    Counts counts;
    return CheckNothingIsCut(story, CloseReason::kDrained, time, &counts).size();
  };
  visit.heard_bytes = 500;
  EXPECT_EQ(check(), 0u);
  visit.heard_bytes = 499;
  EXPECT_EQ(check(), 1u);
  visit.client_ended = time.until;
  EXPECT_EQ(check(), 0u);
  visit.client_ended = kBegin + kSecond;
  visit.heard_bytes = 500;
  visit.heard_all = false;
  stay.quit = true;
  EXPECT_EQ(check(), 1u);
  visit.reason = CloseReason::kQuit;
  visit.heard_all = false;
  EXPECT_EQ(check(), 1u);
  visit.heard_all = true;
  EXPECT_EQ(check(), 0u);
  visit.reason = CloseReason::kIdleTimeout;
  EXPECT_EQ(check(), 1u);
}

}  // namespace
}  // namespace postern::sim
