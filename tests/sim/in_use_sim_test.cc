// Several sessions of one user at a backend that locks maildrops, in simulated farms: who waits is
// let in when the first has ended, nobody's transfer is cut, and nobody ends anybody for ever.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"
#include "tests/sim/farm.h"
#include "tests/sim/farm_spec.h"
#include "tests/sim/random.h"
#include "tests/sim/seed_runner.h"

namespace postern::sim {
namespace {

using Failures = std::vector<std::string>;
using metrics::InUseResult;

constexpr const char* kUser = "anna@example.net";
constexpr DurationNs kForEver = 500 * kSecond;

class InUseSim : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

// One of the user's mail programs: it reads everything, then says nothing until its QUIT.
ClientSpec Program(DurationNs starts_after, DurationNs idle_for) {
  ClientSpec client;
  client.listener = 2;
  client.user = kUser;
  client.password = "secret";
  client.commands = {"STAT\r\n", "RETR 1\r\n", "RETR 2\r\n", "QUIT\r\n"};
  client.starts_after = starts_after;
  client.idle_for = idle_for;
  return client;
}

FarmSpec OneMaildrop(DurationNs wait, DurationNs end_idle) {
  FarmSpec spec;
  spec.shared_users = true;
  spec.in_use = {wait, end_idle};
  spec.backends[0].scripts[0].model.locks = true;
  return spec;
}

uint64_t Waits(Farm* farm, InUseResult result) {
  return farm->stats().backend(0).in_use[static_cast<size_t>(result)].Get();
}

size_t Superseded(const Farm& farm) {
  const std::vector<ClientStory>& clients = farm.history().clients;
  return static_cast<size_t>(std::count_if(clients.begin(), clients.end(), [](const auto& client) {
    return client.reason == CloseReason::kSuperseded;
  }));
}

// What every session heard is whole: all that one of the servers said, and an orderly end.
void CheckNothingWasCut(const Farm& farm, Failures* failures) {
  std::multiset<std::string> said;
  for (const ServerStory& server : farm.history().servers) {
    if (server.record.logged_in) said.insert(server.record.answers);
  }
  for (const ClientStory& client : farm.history().clients) {
    if (!client.logged_in) continue;
    if (client.end == Peer::End::kReset) failures->push_back(client.name + " was reset");
    const auto found = said.find(client.heard_after_login);
    if (found == said.end()) {
      failures->push_back(absl::StrCat(client.name, " heard a session that nobody held"));
    } else {
      said.erase(found);
    }
    const bool right = client.reason == CloseReason::kQuit
                           ? client.quit_said
                           : client.reason == CloseReason::kSuperseded && !client.quit_said;
    if (!right) {
      failures->push_back(absl::StrCat(client.name, " ended by ", CloseReasonName(client.reason)));
    }
  }
}

// --- waiting -------------------------------------------------------------------------------------

TEST_F(InUseSim, NobodyIsRefusedWhereTheFirstEndsInTime) {
  RunSeeds(60, [](uint64_t seed) {
    Random random(seed);
    FarmSpec spec = OneMaildrop(20 * kSecond, 0);
    const size_t programs = 2 + random.Below(3);
    for (size_t i = 0; i < programs; ++i) {
      const auto idle = static_cast<DurationNs>(random.Below(6000)) * kMillisecond;
      const auto starts = static_cast<DurationNs>(random.Below(3000)) * kMillisecond;
      spec.clients.push_back(Program(starts, idle));
    }
    if (random.Below(2) == 0) spec.backends.assign(3, spec.backends[0]);
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    for (const ClientStory& client : farm.history().clients) {
      if (!client.logged_in) {
        failures.push_back(absl::StrCat(client.name, " was refused: ", client.login_reply));
      }
    }
    if (Superseded(farm) != 0) failures.push_back("somebody was ended");
    return failures;
  });
}

// A session that is known wakes those who wait for it; the backend is not asked in vain.
TEST_F(InUseSim, TheBackendIsNotAskedWhileASessionIsKnown) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(30 * kSecond, 0);
    spec.clients = {Program(0, 15 * kSecond), Program(2 * kSecond, 0)};
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    const uint64_t connects = farm.stats().backend(0).connects.Get();
    if (connects > 5) failures.push_back(absl::StrCat("it was asked ", connects, " times"));
    const DurationNs total = farm.history().clients[1].total;
    if (total < 12 * kSecond || total > 15 * kSecond) {
      failures.push_back(absl::StrCat("it was there for ", total / kMillisecond, " ms"));
    }
    if (Waits(&farm, InUseResult::kLoggedIn) != 1) failures.push_back("the wait was not counted");
    return failures;
  });
}

TEST_F(InUseSim, ALockFromElsewhereIsWaitedFor) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(20 * kSecond, kSecond);
    spec.clients = {Program(kSecond, 0), Program(2 * kSecond, 0)};
    Farm farm(seed, spec);
    farm.store().Find(kUser)->locked = true;
    farm.io().scheduler().After(8 * kSecond, [&farm] { farm.store().Find(kUser)->locked = false; });
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    for (const ClientStory& client : farm.history().clients) {
      if (!client.logged_in) {
        failures.push_back(absl::StrCat(client.name, " was refused: ", client.login_reply));
      }
      if (client.total > 12 * kSecond) failures.push_back(client.name + " waited on");
    }
    const uint64_t connects = farm.stats().backend(0).connects.Get();
    if (connects > 25) failures.push_back(absl::StrCat("it was asked ", connects, " times"));
    return failures;
  });
}

void CheckGivenUp(const Farm& farm, DurationNs after, Failures* failures) {
  const ClientStory& client = farm.history().clients[0];
  if (client.login_reply != "-ERR [IN-USE] another session is there") {
    failures->push_back(absl::StrCat("it was told ", client.login_reply));
  }
  // The refusal itself comes after refused_delay, which counts from the question.
  if (client.total < after || client.total > after + kSecond) {
    failures->push_back(absl::StrCat("it was told after ", client.total / kMillisecond, " ms"));
  }
}

TEST_F(InUseSim, TheBackendHasTheLastWord) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(7 * kSecond, kSecond);
    spec.clients = {Program(0, 0)};
    Farm farm(seed, spec);
    farm.store().Find(kUser)->locked = true;
    Failures failures = farm.Run();
    CheckGivenUp(farm, 7 * kSecond, &failures);
    if (Waits(&farm, InUseResult::kGaveUp) != 1) failures.push_back("it was not counted");
    const uint64_t refused =
        farm.stats().listener(2).logins[static_cast<size_t>(metrics::LoginResult::kRefused)].Get();
    if (refused != 1) failures.push_back(absl::StrCat(refused, " refusals were counted"));
    return failures;
  });
}

// The client's own deadline comes first: it hears the backend's words and not those of a timeout.
TEST_F(InUseSim, TheWaitEndsBeforeTheDeadlineOfTheLogin) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(30 * kSecond, kSecond);
    spec.timeouts.login = 9 * kSecond;
    spec.timeouts.refused_delay = kSecond;
    spec.clients = {Program(0, 0)};
    Farm farm(seed, spec);
    farm.store().Find(kUser)->locked = true;
    Failures failures = farm.Run();
    CheckGivenUp(farm, 7 * kSecond, &failures);
    return failures;
  });
}

TEST_F(InUseSim, WithoutTheTableTheRefusalIsPassedOn) {
  FarmSpec spec = OneMaildrop(0, 0);
  spec.timeouts.refused_delay = kSecond;
  spec.clients = {Program(0, 0)};
  Farm farm(1, spec);
  farm.store().Find(kUser)->locked = true;
  Failures failures = farm.Run();
  CheckGivenUp(farm, kSecond, &failures);
  EXPECT_TRUE(failures.empty()) << failures[0];
  EXPECT_EQ(farm.stats().backend(0).connects.Get(), 1u);
}

TEST_F(InUseSim, WhoGoesWhileWaitingLeavesNothing) {
  RunSeeds(30, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(40 * kSecond, 0);
    spec.clients = {Program(0, 20 * kSecond)};
    for (int i = 1; i < 6; ++i) {
      ClientSpec goes = Program(i * 100 * kMillisecond, 0);
      goes.farewell = Farewell::kResetSometime;
      goes.resets_after = kSecond + i * 700 * kMillisecond;
      if (i % 2 == 0) goes.login = LoginKind::kEverythingAtOnce;
      spec.clients.push_back(goes);
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    for (size_t i = 1; i < spec.clients.size(); ++i) {
      const ClientStory& client = farm.history().clients[i];
      if (client.logged_in) failures.push_back(client.name + " was logged in");
      if (client.total > 6 * kSecond) failures.push_back(client.name + " was gone and waited");
    }
    if (Waits(&farm, InUseResult::kOther) != 5) failures.push_back("they were not counted");
    if (farm.history().clients[0].reason != CloseReason::kQuit) {
      failures.push_back("the first was disturbed");
    }
    return failures;
  });
}

TEST_F(InUseSim, ADrainEndsTheWaiting) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(40 * kSecond, 0);
    spec.drain_after = 3 * kSecond;
    spec.clients = {Program(0, 0)};
    Farm farm(seed, spec);
    farm.store().Find(kUser)->locked = true;
    Failures failures = farm.Run();
    const ClientStory& client = farm.history().clients[0];
    if (!absl::StrContains(client.login_reply, "[SYS/TEMP] The server is shutting down")) {
      failures.push_back(absl::StrCat("it was told ", client.login_reply));
    }
    if (client.total > 4 * kSecond) failures.push_back("it waited on");
    return failures;
  });
}

// Invariant: a backend that has judged a password is the only one that sees it.
TEST_F(InUseSim, ThePasswordStaysWithWhoHasSeenIt) {
  RunSeeds(40, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(10 * kSecond, 0);
    spec.failover = true;
    spec.backends.assign(3, spec.backends[0]);
    for (BackendSpec& backend : spec.backends) {
      backend.outages = {{2 * kSecond, 30 * kSecond, ConnectAnswer::Kind::kRefuse}};
    }
    // One of them stays, and must not be offered what another one has refused.
    spec.backends[seed % 3].outages.clear();
    spec.clients = {Program(0, 0)};
    Farm farm(seed, spec);
    farm.store().Find(kUser)->locked = true;
    Failures failures = farm.Run();
    std::set<size_t> seen_by;
    for (const ServerStory& server : farm.history().servers) {
      if (!server.record.passwords_offered.empty()) seen_by.insert(server.backend);
    }
    if (seen_by.size() != 1) failures.push_back(absl::StrCat(seen_by.size(), " have seen it"));
    if (farm.history().clients[0].logged_in) failures.push_back("it was logged in");
    return failures;
  });
}

// --- ending idle sessions ------------------------------------------------------------------------

TEST_F(InUseSim, AnIdleSessionGivesWay) {
  RunSeeds(40, [](uint64_t seed) {
    Random random(seed);
    FarmSpec spec = OneMaildrop(20 * kSecond, 5 * kSecond);
    const auto comes = kSecond + static_cast<DurationNs>(random.Below(9000)) * kMillisecond;
    spec.clients = {Program(0, kForEver), Program(comes, 0)};
    for (ClientSpec& client : spec.clients) client.listener = random.Below(2) == 0 ? 0 : 2;
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    const ClientStory& first = farm.history().clients[0];
    const ClientStory& second = farm.history().clients[1];
    if (first.reason != CloseReason::kSuperseded) failures.push_back("the first was not ended");
    if (first.total < 5 * kSecond) failures.push_back("the first was ended too early");
    if (!second.logged_in) failures.push_back("the second was refused: " + second.login_reply);
    if (comes + second.total > std::max(comes, 5 * kSecond) + 3 * kSecond) {
      failures.push_back("the second waited on");
    }
    const uint64_t counted =
        farm.stats().backend(0).closed[static_cast<size_t>(CloseReason::kSuperseded)].Get();
    if (counted != 1) failures.push_back("it was not counted");
    return failures;
  });
}

// Idle is not silent: a response that its client does not take is on its way.
TEST_F(InUseSim, ATransferIsNeverCut) {
  RunSeeds(40, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(12 * kSecond, kSecond);
    // Much more than the window holds, or so little more that the proxy has read all of it.
    Random random(seed);
    spec.message_bytes = seed % 3 == 0 ? size_t{1} << 20 : 33000 + random.Below(6000);
    ClientSpec slow = Program(0, 25 * kSecond);
    slow.deaf_for = 20 * kSecond;
    slow.waits = false;
    slow.listener = seed % 2 == 0 ? 0 : 2;
    spec.clients = {slow, Program(2 * kSecond, 0)};
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    if (farm.history().clients[0].reason != CloseReason::kQuit) {
      failures.push_back("the transfer was ended");
    }
    const std::string& told = farm.history().clients[1].login_reply;
    if (!absl::StartsWith(told, "-ERR [IN-USE]")) failures.push_back("it was told " + told);
    return failures;
  });
}

// The backend stands still in the middle of a response: that is for the idle limit to end.
TEST_F(InUseSim, AResponseThatStandsStillIsNotIdle) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(20 * kSecond, kSecond);
    spec.timeouts.idle = 60 * kSecond;
    ServerScript& script = spec.backends[0].scripts[0];
    script.fault = ServerFault::kStallAt;
    script.at = 1000;
    spec.clients = {Program(0, 0), Program(5 * kSecond, 0)};
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    const ClientStory& first = farm.history().clients[0];
    if (first.reason != CloseReason::kIdleTimeout) {
      failures.push_back(absl::StrCat("it was ended by ", CloseReasonName(first.reason)));
    }
    if (first.end != Peer::End::kReset) failures.push_back("its client did not notice");
    const std::string& told = farm.history().clients[1].login_reply;
    if (!absl::StartsWith(told, "-ERR [IN-USE]")) failures.push_back("it was told " + told);
    return failures;
  });
}

// However one logs in, as long as nothing was said that cannot be said again.
TEST_F(InUseSim, EveryWayToLogInMayWait) {
  for (const LoginKind kind :
       {LoginKind::kUserPassAtOnce, LoginKind::kEverythingAtOnce, LoginKind::kAuthPlain,
        LoginKind::kAuthPlainTwoSteps, LoginKind::kAuthLogin, LoginKind::kXoauth2}) {
    RunSeeds(5, [kind](uint64_t seed) {
      FarmSpec spec = OneMaildrop(20 * kSecond, kSecond);
      spec.sasl = kind == LoginKind::kXoauth2;
      if (!spec.sasl && seed % 2 == 0) {
        spec.backends[0].mechanism = config::UpstreamMechanism::kAuthPlain;
      }
      ClientSpec second = Program(4 * kSecond, 0);
      second.login = kind;
      second.listener = spec.sasl ? 0 : 2;
      spec.clients = {Program(0, kForEver), second};
      Farm farm(seed, spec);
      Failures failures = farm.Run();
      CheckNothingWasCut(farm, &failures);
      if (farm.history().clients[1].reason != CloseReason::kQuit) {
        failures.push_back(absl::StrCat("kind ", static_cast<int>(kind), " was told ",
                                        farm.history().clients[1].login_reply));
      }
      return failures;
    });
  }
}

// Whoever knows a name and no password ends nobody, and learns nothing.
TEST_F(InUseSim, AWrongPasswordEndsNobody) {
  RunSeeds(20, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(20 * kSecond, kSecond);
    ClientSpec guesses = Program(10 * kSecond, 0);
    guesses.login = LoginKind::kAlwaysWrong;
    spec.clients = {Program(0, 30 * kSecond), guesses};
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    if (farm.history().clients[0].reason != CloseReason::kQuit) {
      failures.push_back("the first was disturbed");
    }
    if (farm.history().clients[1].reason != CloseReason::kTooManyLogins) {
      failures.push_back("the second was not refused as ever");
    }
    return failures;
  });
}

// Two that poll at the same time, again and again: each does its work, and none ends another.
TEST_F(InUseSim, PollersLeaveEachOtherAlone) {
  RunSeeds(40, [](uint64_t seed) {
    Random random(seed);
    FarmSpec spec = OneMaildrop(50 * kSecond, 2 * kSecond);
    for (int round = 0; round < 8; ++round) {
      for (int program = 0; program < 2; ++program) {
        const auto idle = static_cast<DurationNs>(random.Below(1500)) * kMillisecond;
        const auto jitter = static_cast<DurationNs>(random.Below(20)) * kMillisecond;
        spec.clients.push_back(Program(round * 2 * kSecond + jitter, idle));
      }
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    for (const ClientStory& client : farm.history().clients) {
      if (client.reason != CloseReason::kQuit) {
        failures.push_back(absl::StrCat(client.name, ": ", CloseReasonName(client.reason), ", ",
                                        client.login_reply));
      }
    }
    return failures;
  });
}

// Two that never say QUIT and come back as soon as they are refused or ended: whoever is in has
// done its work, and has at least end_idle for itself.
TEST_F(InUseSim, EndingEachOtherHasAPace) {
  RunSeeds(40, [](uint64_t seed) {
    Random random(seed);
    const DurationNs end_idle = 4 * kSecond;
    FarmSpec spec = OneMaildrop(10 * kSecond, end_idle);
    for (int i = 0; i < 60; ++i) {
      const auto jitter = static_cast<DurationNs>(random.Below(900)) * kMillisecond;
      spec.clients.push_back(Program(i * kSecond + jitter, kForEver));
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    CheckNothingWasCut(farm, &failures);
    std::vector<DurationNs> logins;
    for (const ServerStory& server : farm.history().servers) {
      if (server.logged_in_at < 0) continue;
      logins.push_back(server.logged_in_at);
      // Both messages.
      const auto& commands = server.record.session_commands;
      if (commands.size() < 3) failures.push_back("one was ended before it had done its work");
    }
    std::sort(logins.begin(), logins.end());
    for (size_t i = 1; i < logins.size(); ++i) {
      if (logins[i] - logins[i - 1] < end_idle) failures.push_back("one was ended too early");
    }
    // A minute of them.
    if (logins.size() < 6) failures.push_back(absl::StrCat("only ", logins.size(), " logins"));
    return failures;
  });
}

// Of those who wait for the same session one gets in, and the others do not end that one for it.
TEST_F(InUseSim, ThoseWhoWaitTogetherDoNotEndEachOther) {
  RunSeeds(30, [](uint64_t seed) {
    FarmSpec spec = OneMaildrop(30 * kSecond, 4 * kSecond);
    spec.clients = {Program(0, kForEver)};
    for (int i = 0; i < 4; ++i) {
      spec.clients.push_back(Program(kSecond + i * 200 * kMillisecond, kForEver));
    }
    Farm farm(seed, spec);
    Failures failures = farm.Run();
    if (Superseded(farm) != 1) failures.push_back(absl::StrCat(Superseded(farm), " were ended"));
    if (farm.history().clients[0].reason != CloseReason::kSuperseded) {
      failures.push_back("it was not the first");
    }
    if (Waits(&farm, InUseResult::kLoggedIn) != 1 || Waits(&farm, InUseResult::kGaveUp) != 3) {
      failures.push_back("they were counted wrongly");
    }
    return failures;
  });
}

// --- whatever else goes wrong --------------------------------------------------------------------

TEST_F(InUseSim, RandomFarmsKeepTheirRules) {
  for (const Weather weather :
       {Weather::kFair, Weather::kUnruly, Weather::kHostile, Weather::kDraining}) {
    RunSeeds(60, [weather](uint64_t seed) {
      FarmSpec spec = DrawFarm(seed, weather);
      spec.in_use = {3 * kSecond, kSecond};
      Farm farm(seed, spec);
      return farm.Run();
    });
  }
}

// One maildrop, and everything that an unruly world does to its sessions.
TEST_F(InUseSim, AnUnrulyWorldLeavesNoLockBehind) {
  RunSeeds(60, [](uint64_t seed) {
    FarmSpec spec = DrawFarm(seed, Weather::kUnruly);
    spec.in_use = {5 * kSecond, kSecond};
    spec.shared_users = true;
    spec.sasl = spec.apop = false;
    for (BackendSpec& backend : spec.backends) {
      for (ServerScript& script : backend.scripts) script.model.locks = true;
    }
    for (ClientSpec& client : spec.clients) {
      client.user = kUser;
      client.password = "secret";
      client.password_right = client.known = true;
      client.starts_after %= 4 * kSecond;
    }
    Farm farm(seed, spec);
    return farm.Run();
  });
}

}  // namespace
}  // namespace postern::sim
