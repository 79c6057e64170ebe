// The production worker and session code in thousands of simulated mail farms. See farm.h.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/farm.h"
#include "tests/sim/farm_spec.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

class SessionSim : public ::testing::TestWithParam<Weather> {};

TEST_P(SessionSim, KeepsItsPromises) {
  RunSeeds(700, [](uint64_t seed) {
    Farm farm(seed, DrawFarm(seed, GetParam()));
    return farm.Run();
  });
}

std::string NameOf(const ::testing::TestParamInfo<Weather>& test) {
  return WeatherName(test.param);
}
INSTANTIATE_TEST_SUITE_P(Weather, SessionSim,
                         ::testing::Values(Weather::kFair, Weather::kUnruly, Weather::kHostile,
                                           Weather::kDraining),
                         &NameOf);

TEST(SessionSimItself, SameSeedSameHistory) {
  std::vector<uint64_t> hashes[2];
  for (std::vector<uint64_t>& run : hashes) {
    RunSeeds(20, [&run](uint64_t seed) {
      Farm farm(seed, DrawFarm(seed, Weather::kHostile));
      farm.Run();
      if (seed != 0) run.push_back(farm.io().trace_hash());
      return std::vector<std::string>();
    });
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

// Worlds in which nothing ever happens keep every promise.
TEST(SessionSimItself, MeetsNearlyEverything) {
  std::set<std::string> seen;
  for (const Weather weather :
       {Weather::kFair, Weather::kUnruly, Weather::kHostile, Weather::kDraining}) {
    RunSeeds(250, [&seen, weather](uint64_t seed) {
      Farm farm(seed, DrawFarm(seed, weather));
      std::vector<std::string> failures = farm.Run();
      if (farm.bytes_moved() > 0) seen.insert("moved in the kernel");
      for (const ClientStory& client : farm.history().clients) {
        seen.insert(std::string(CloseReasonName(client.reason)));
        if (client.logged_in && weather == Weather::kFair) seen.insert("fair login");
        if (client.end == Peer::End::kReset) seen.insert("client sees a reset");
      }
      for (const ServerStory& server : farm.history().servers) {
        if (server.struck) seen.insert(ServerFaultName(server.fault));
        if (!server.record.committed.empty()) seen.insert("deletion");
        if (!server.record.marked.empty() && !server.record.quit) seen.insert("no deletion");
      }
      return failures;
    });
  }
  std::vector<std::string> wanted = {"fair login", "client sees a reset", "deletion", "no deletion",
                                     "moved in the kernel"};
  for (int i = 1; i < kServerFaultCount; ++i) {
    wanted.push_back(ServerFaultName(static_cast<ServerFault>(i)));
  }
  for (int i = 1; i < kCloseReasonCount; ++i) {
    const auto reason = static_cast<CloseReason>(i);
    // Simulated handshakes are never wrong, only cut; nobody gives orders there; the last is our
    // own fault.
    if (reason == CloseReason::kClientTls || reason == CloseReason::kUpstreamTls ||
        reason == CloseReason::kHandshakeTimeout || reason == CloseReason::kHeld ||
        reason == CloseReason::kKicked || reason == CloseReason::kSuperseded ||
        reason == CloseReason::kDrained || reason == CloseReason::kBackendDown ||
        reason == CloseReason::kInternal) {
      continue;
    }
    wanted.push_back(std::string(CloseReasonName(reason)));
  }
  for (const std::string& what : wanted) EXPECT_EQ(seen.count(what), 1u) << what;
}

}  // namespace
}  // namespace postern::sim
