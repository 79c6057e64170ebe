// The judge of fleets, with stories that lie: each rule must be able to fail, and must keep quiet
// where nothing was promised.
#include "tests/sim/fleet_story.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FleetVisit Visit(const std::string& user, DurationNs came, DurationNs ended) {
  FleetVisit visit;
  visit.name = "client of " + user;
  visit.user = user;
  visit.came = came;
  visit.ended = ended;
  visit.records = 1;
  return visit;
}

FleetVisit Served(const std::string& user, DurationNs came, DurationNs ended, CloseReason reason) {
  FleetVisit visit = Visit(user, came, ended);
  visit.logged_in = true;
  visit.reply = "+OK";
  visit.reason = reason;
  visit.backend = 0;
  return visit;
}

FleetVisit Refused(const std::string& user, DurationNs came, DurationNs ended) {
  FleetVisit visit = Visit(user, came, ended);
  visit.reply = "-ERR [SYS/TEMP]";
  visit.reason = CloseReason::kUpstreamUnavailable;
  return visit;
}

FleetStay Stay(const std::string& user, int backend, DurationNs from, DurationNs until) {
  FleetStay stay;
  stay.user = user;
  stay.backend = backend;
  stay.time = {from, until};
  return stay;
}

class FleetStoryTest : public ::testing::Test {
 protected:
  FleetStoryTest() {
    story_.backends.resize(3);
    story_.lasted = 1000 * kSecond;
  }
  std::vector<std::string> Check() const { return CheckFleet(story_); }
  void ExpectFailure(const std::string& words) const {
    EXPECT_THAT(Check(), ElementsAre(HasSubstr(words)));
  }
  void ExpectNone() const { EXPECT_THAT(Check(), IsEmpty()); }

  FleetStory story_;
};

TEST_F(FleetStoryTest, TwoPlacesAtOnce) {
  story_.stays = {
      Stay("anna", 0, 10 * kSecond, 20 * kSecond), Stay("anna", 0, 15 * kSecond, 30 * kSecond),
      Stay("bert", 1, 15 * kSecond, 30 * kSecond), Stay("anna", 1, 30 * kSecond, 40 * kSecond)};
  ExpectNone();
  // The end was still on its way.
  story_.stays[3].time.from -= 5 * kMillisecond;
  ExpectNone();
  story_.stays[3].time.from -= 1;
  ExpectFailure("anna came to backend 1");
  story_.promises.affinity = false;
  ExpectNone();
}

TEST_F(FleetStoryTest, EverySessionHasOneRecord) {
  story_.visits = {Served("anna", 0, 10, CloseReason::kQuit)};
  ExpectNone();
  story_.visits[0].records = 0;
  ExpectFailure("0 session records");
  story_.visits[0].records = 2;
  ExpectFailure("2 session records");
}

TEST_F(FleetStoryTest, RefusedWhileThereWasRoom) {
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  ExpectNone();  // nobody was open
  story_.backends[2].open = {{5 * kSecond, 19 * kSecond}, {19 * kSecond, 30 * kSecond}};
  ExpectNone();  // nor all the time
  story_.backends[1].open = {{5 * kSecond, 20 * kSecond}};
  ExpectNone();  // somebody else took the last seat
  story_.backends[1].open[0].until += 1;
  ExpectFailure("while backend 1 would have had it");
  story_.visits[0].reason = CloseReason::kLoginTimeout;
  ExpectFailure("while backend 1 would have had it");
  story_.visits[0].gave_up = true;
  ExpectNone();
  story_.visits[0].gave_up = false;
  story_.promises.failover = false;
  ExpectNone();
}

// With a queue: the last seconds count, however long it has waited.
TEST_F(FleetStoryTest, WhoWaitsIsServedSoon) {
  story_.promises.queue_wait = 20 * kSecond;
  story_.visits = {Refused("anna", 10 * kSecond, 30 * kSecond)};
  story_.backends[1].open = {{27 * kSecond + 1, kNever}};
  ExpectNone();
  story_.backends[1].open[0].from -= 1;
  ExpectFailure("while backend 1 would have had it");
  // It may have asked somebody else meanwhile.
  story_.promises.attempt = 4 * kSecond;
  story_.backends[0].tempting = {{20 * kSecond, 25 * kSecond}};
  ExpectNone();
  story_.backends[1].open[0].from -= 4 * kSecond;
  ExpectFailure("while backend 1 would have had it");
  // It goes by the configuration that it came with.
  story_.reloads = {{20 * kSecond, "another limit", 0, 0, 0, 1}};
  ExpectNone();
  story_.reloads[0].backend = 2;
  ExpectFailure("while backend 1 would have had it");
  story_.reloads[0] = {9 * kSecond, "another limit", 0, 0, 0, 1};
  ExpectFailure("while backend 1 would have had it");
}

TEST_F(FleetStoryTest, BackupsServeWhileNobodyElseIsWell) {
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  story_.backends[1].open = {{5 * kSecond, kNever}};
  story_.full = {{5 * kSecond, 11 * kSecond}};
  ExpectFailure("while backend 1 would have had it");
  story_.backends[1].backup = true;
  ExpectNone();
  story_.full = {{5 * kSecond, 10 * kSecond}};
  ExpectFailure("while backend 1 would have had it");
}

TEST_F(FleetStoryTest, APasswordIsToldOnce) {
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  story_.visits[0].backend = 0;
  story_.backends[1].open = {{5 * kSecond, kNever}};
  ExpectFailure("while backend 1 would have had it");
  story_.told = {{"anna", 0, {11 * kSecond, 12 * kSecond}}};
  ExpectNone();
  for (FleetTold told : {FleetTold{"bert", 0, {11 * kSecond, 12 * kSecond}},
                         FleetTold{"anna", 2, {11 * kSecond, 12 * kSecond}},
                         FleetTold{"anna", 0, {9 * kSecond, 12 * kSecond}},
                         FleetTold{"anna", 0, {11 * kSecond, 21 * kSecond}}}) {
    story_.told = {told};
    ExpectFailure("while backend 1 would have had it");
  }
}

// A session keeps the configuration with which it came: by that one, others may have been full.
TEST_F(FleetStoryTest, ABackupIsForNobodyWhoMayHaveFoundTheOthersFull) {
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  story_.backends[1].open = {{5 * kSecond, 30 * kSecond}};
  story_.backends[1].backup = true;
  ExpectFailure("while backend 1 would have had it");
  FleetReload reload;
  reload.at = 15 * kSecond;
  story_.reloads = {reload};
  ExpectNone();
  story_.reloads[0].at = 9 * kSecond;
  ExpectFailure("while backend 1 would have had it");
}

TEST_F(FleetStoryTest, FewAreAskedUnlessOneMayWait) {
  story_.backends.resize(6);
  story_.backends[5].open = {{0, kNever}};
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  for (size_t i = 0; i < 3; ++i) story_.backends[i].tempting = {{19 * kSecond, 40 * kSecond}};
  ExpectFailure("while backend 5");
  story_.backends[3].tempting = {{0, 11 * kSecond}};
  ExpectNone();
  story_.promises.queue_wait = 20 * kSecond;
  ExpectFailure("while backend 5");
}

TEST_F(FleetStoryTest, AUserWithASessionMayGoNowhereElse) {
  story_.backends[1].open = {{0, kNever}};
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond),
                   Served("anna", 5 * kSecond, 60 * kSecond, CloseReason::kQuit)};
  story_.stays = {Stay("anna", 0, 6 * kSecond, 60 * kSecond)};
  ExpectNone();
  story_.backends[0].open = {{0, kNever}};
  ExpectFailure("while backend 0");
  // It was on its way only: it may have bound the user anywhere.
  story_.stays[0].time.from = 11 * kSecond;
  ExpectNone();
  // It was over in time.
  story_.visits[1].ended = 9 * kSecond;
  story_.stays.clear();
  ExpectFailure("would have had it");
}

TEST_F(FleetStoryTest, AMovedUserMayGoNowhereElse) {
  story_.backends[1].open = {{0, kNever}};
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  story_.moves = {{"anna", 2, {kSecond, 2 * kSecond}}};
  ExpectNone();
  story_.moves[0].backend = 1;
  ExpectFailure("while backend 1");
  story_.moves[0].time.until = 15 * kSecond;
  ExpectNone();
  story_.moves[0].user = "bert";
  ExpectFailure("while backend 1");
}

TEST_F(FleetStoryTest, AHoldIsAReasonWhileItLasts) {
  story_.backends[1].open = {{0, kNever}};
  story_.visits = {Refused("anna", 10 * kSecond, 40 * kSecond)};
  story_.visits[0].reason = CloseReason::kHeld;
  ExpectFailure("on hold");
  story_.holds = {{"anna", {5 * kSecond, kNever}}};
  ExpectNone();
  // Released when it had been told so, and its session was not over yet.
  story_.holds[0].time.until = 40 * kSecond - story_.promises.on_its_way;
  ExpectNone();
  story_.holds[0].time.until -= 1;
  ExpectFailure("on hold");
  story_.holds[0].time = {11 * kSecond, kNever};
  ExpectFailure("on hold");
  // Released, and refused nevertheless.
  story_.visits[0].reason = CloseReason::kUpstreamUnavailable;
  story_.holds[0].time = {5 * kSecond, 30 * kSecond};
  ExpectFailure("while backend 1");
  story_.backends[1].open = {{31 * kSecond, kNever}};
  ExpectNone();
  // Held until after the end: it had waited for the release and not for a backend.
  story_.backends[1].open = {{0, kNever}};
  story_.holds[0].time.until = 40 * kSecond + 1;
  ExpectNone();
  story_.holds[0].time.until = 40 * kSecond;
  ExpectFailure("while backend 1");
}

TEST_F(FleetStoryTest, OtherWordsAreNoRefusal) {
  story_.visits = {Refused("anna", 10 * kSecond, 20 * kSecond)};
  for (const CloseReason reason :
       {CloseReason::kInternal, CloseReason::kClientReset, CloseReason::kShutdown,
        CloseReason::kIdleTimeout, CloseReason::kTooManyLogins, CloseReason::kKicked}) {
    story_.visits[0].reason = reason;
    ExpectFailure("was not logged in");
  }
  story_.moves = {{"anna", 2, {15 * kSecond, 25 * kSecond}}};
  ExpectNone();
}

TEST_F(FleetStoryTest, SessionsAreCutForAReason) {
  const auto with = [this](CloseReason reason) {
    story_.visits = {Served("anna", 10 * kSecond, 100 * kSecond, reason)};
  };
  for (const CloseReason reason :
       {CloseReason::kUpstreamClosed, CloseReason::kUpstreamTruncated, CloseReason::kBackendDown,
        CloseReason::kDrained, CloseReason::kKicked, CloseReason::kShutdown, CloseReason::kInternal,
        CloseReason::kIdleTimeout, CloseReason::kClientClosed, CloseReason::kClientReset}) {
    with(reason);
    ExpectFailure("was cut at backend 0");
  }
  with(CloseReason::kUpstreamClosed);
  story_.backends[0].crashes = {99 * kSecond};
  ExpectNone();
  story_.backends[0].crashes = {70 * kSecond};
  ExpectFailure("upstream_closed");
  with(CloseReason::kBackendDown);
  story_.promises.end_over = 20 * kSecond;
  story_.backends[0].down = {{75 * kSecond, kNever}};
  story_.backends[0].outages = {{70 * kSecond, kNever}};
  ExpectNone();
  story_.backends[0].down = {{20 * kSecond, 30 * kSecond}};
  story_.backends[0].outages = {{10 * kSecond, 40 * kSecond}};
  ExpectFailure("backend_down");
  with(CloseReason::kDrained);
  story_.backends[0].drained_over = {{80 * kSecond, 100 * kSecond}};
  ExpectNone();
  story_.backends[0].drained_over = {{20 * kSecond, 40 * kSecond}};
  ExpectFailure("drained");
  with(CloseReason::kKicked);
  story_.moves = {{"anna", 1, {90 * kSecond, kNever}}};
  ExpectNone();
  with(CloseReason::kClientClosed);
  story_.visits[0].goes_at_once = true;
  ExpectNone();
  with(CloseReason::kQuit);
  story_.visits[0].heard_all = false;
  ExpectFailure("did not hear all of it");
}

TEST_F(FleetStoryTest, ReloadsMoveFew) {
  story_.reloads = {{kSecond, "a backend less", 1000, 150, 100, 0}};
  ExpectNone();
  story_.reloads[0].moved = 151;
  ExpectFailure("another home");
}

TEST_F(FleetStoryTest, ChecksFindInTime) {
  story_.promises.found_within = 5 * kSecond;
  story_.promises.trusted_within = 3 * kSecond;
  FleetBackendStory& backend = story_.backends[1];
  backend.outages = {{100 * kSecond, 200 * kSecond}};
  backend.up = {{kSecond, 104 * kSecond}, {202 * kSecond, kNever}};
  backend.down = {{104 * kSecond, 202 * kSecond}};
  ExpectNone();
  backend.down[0].from = 106 * kSecond;
  ExpectFailure("was not found down");
  // Nobody asked.
  backend.unasked = {{98 * kSecond, 102 * kSecond}};
  ExpectNone();
  backend.unasked.clear();
  backend.down[0].from = 104 * kSecond;
  backend.up[1].from = 204 * kSecond;
  ExpectFailure("was not trusted");
  // It was away again.
  backend.outages.push_back({202 * kSecond, 203 * kSecond});
  ExpectNone();
  backend.outages.back() = {202 * kSecond, 999 * kSecond};
  ExpectFailure("backend 1 went at 202 s");
  backend.outages.pop_back();
  backend.up[1].from = 202 * kSecond;
  backend.down.push_back({500 * kSecond, kNever});
  ExpectFailure("was well and found down");
}

TEST(FleetEvennessTest, EachBoundHasTwoSides) {
  const auto check = [](std::vector<int64_t> sessions, std::vector<uint32_t> weights,
                        FleetEvenness evenness, int bound = 0) {
    return CheckEvenness(sessions, weights, evenness, bound).size();
  };
  // 100 each, a deviation of 8.7 times six, 2 % and one.
  EXPECT_EQ(check({150, 90, 80, 80}, {1, 1, 1, 1}, FleetEvenness::kByUser), 0u);
  EXPECT_EQ(check({160, 80, 80, 80}, {1, 1, 1, 1}, FleetEvenness::kByUser), 1u);
  EXPECT_EQ(check({40, 120, 120, 120}, {1, 1, 1, 1}, FleetEvenness::kByUser), 1u);
  EXPECT_EQ(check({100, 300}, {1, 3}, FleetEvenness::kByUser), 0u);
  EXPECT_EQ(check({200, 200}, {1, 3}, FleetEvenness::kByUser), 2u);
  EXPECT_EQ(check({120, 80}, {1, 1}, FleetEvenness::kBounded, 120), 0u);
  EXPECT_EQ(check({121, 79}, {1, 1}, FleetEvenness::kBounded, 120), 1u);
  EXPECT_EQ(check({10, 11, 10}, {1, 1, 1}, FleetEvenness::kFewest), 0u);
  EXPECT_EQ(check({10, 12, 10}, {1, 1, 1}, FleetEvenness::kFewest), 1u);
  EXPECT_EQ(check({5, 10}, {1, 2}, FleetEvenness::kFewest), 0u);
  EXPECT_EQ(check({7, 8}, {1, 2}, FleetEvenness::kFewest), 1u);
  EXPECT_EQ(check({16, 4}, {1, 1}, FleetEvenness::kFewestOfSome), 0u);
  EXPECT_EQ(check({17, 3}, {1, 1}, FleetEvenness::kFewestOfSome), 1u);
  EXPECT_EQ(check({10, 11}, {1, 1}, FleetEvenness::kInTurn), 0u);
  EXPECT_EQ(check({9, 11}, {1, 1}, FleetEvenness::kInTurn), 2u);
  EXPECT_EQ(check({100, 205}, {1, 2}, FleetEvenness::kInTurn), 0u);
  EXPECT_EQ(check({120, 180}, {1, 2}, FleetEvenness::kInTurn), 1u);
}

TEST(FleetSpreadEndsTest, EarlyLateAndAtOnceAreSeen) {
  const FleetSpan time = {10 * kSecond, 20 * kSecond};
  std::vector<DurationNs> ends;
  for (int i = 1; i <= 100; ++i) ends.push_back(10 * kSecond + i * 100 * kMillisecond);
  EXPECT_THAT(CheckSpreadEnds(ends, time, 3), IsEmpty());
  std::vector<DurationNs> early = ends;
  for (DurationNs& end : early) end -= kSecond;
  EXPECT_FALSE(CheckSpreadEnds(early, time, 3).empty());
  std::vector<DurationNs> late = ends;
  for (size_t i = 0; i < 50; ++i) late[i] += 2 * kSecond;
  EXPECT_FALSE(CheckSpreadEnds(late, time, 3).empty());
  EXPECT_FALSE(CheckSpreadEnds(std::vector<DurationNs>(100, 15 * kSecond), time, 3).empty());
  EXPECT_FALSE(CheckSpreadEnds(std::vector<DurationNs>(100, 20 * kSecond), time, 3).empty());
}

}  // namespace
}  // namespace postern::sim
