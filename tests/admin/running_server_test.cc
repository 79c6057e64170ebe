// What the running server says of itself, and where it sends a user then.
#include "proxy/admin/running_server.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/admin/status_json.h"
#include "proxy/base/log.h"

namespace postern::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = routing::LookupAnswer::Kind;

// Three backends in a pool, one beside it, and a lookup.
routing::RouterOptions Options() {
  routing::RouterOptions options;
  for (const char* name : {"m1", "m2", "m3", "alone"}) options.backends.push_back({name});
  routing::PoolOptions pool;
  pool.name = "mail";
  pool.backends = {0, 1, 2};
  pool.failover = true;
  options.pools.push_back(pool);
  routing::RouteOptions route;
  route.users = "*@alone.test";
  route.backend = "alone";
  options.routes.push_back(route);
  route = {};
  route.lookup = "homes";
  options.lookups = {"homes"};
  options.routes.push_back(route);
  route = {};
  route.users = "*";
  route.pool = "mail";
  options.routes.push_back(route);
  return options;
}

class RunningServerTest : public ::testing::Test {
 protected:
  RunningServerTest() {
    log::Configure(log::Level::kError);
    for (const routing::BackendOptions& backend : Options().backends) {
      metrics::BackendHealth health;
      health.health = "up";
      health.weight_configured = static_cast<int>(backend.weight);
      Add(backend.name, health);
    }
  }

  void Add(const std::string& name, const metrics::BackendHealth& health) {
    metrics::StatusSummary::Backend row;
    row.name = name;
    row.pool = name == "alone" ? "" : "mail";
    row.health = health;
    summary_.backends.push_back(row);
  }
  metrics::BackendHealth& Health(size_t backend) { return *summary_.backends[backend].health; }
  void Disable(size_t backend, const std::string& service) {
    Health(backend).service = service;
    Health(backend).service_by = "uid 0 (pid 7)";
    Health(backend).service_reason = "new disks";
  }

  // By what the server says now.
  RunningRoutes Routes(const std::string& holds = "") {
    absl::StatusOr<RunningServer> running = ReadRunningServer(StatusJson(summary_), holds);
    EXPECT_TRUE(running.ok()) << running.status();
    running_ = *std::move(running);
    routing::RouterOptions options = Options();
    options.pools[0].balance = balance_;
    auto router = routing::Router::Create(options);
    EXPECT_TRUE(router.ok()) << router.status();
    auto routes = RunningRoutes::Create(&running_, *std::move(router));
    EXPECT_TRUE(routes.ok()) << routes.status();
    return *std::move(routes);
  }
  static routing::Decision Decide(const RunningRoutes& routes, const std::string& user) {
    return routes.Decide(user, {{0, {Kind::kUnknown, ""}}});
  }
  static std::string TextFor(const RunningRoutes& routes, const std::string& user) {
    return routes.Text(Decide(routes, user));
  }

  metrics::StatusSummary summary_;
  routing::Balance balance_ = routing::Balance::kRendezvous;
  RunningServer running_;
};

TEST_F(RunningServerTest, NothingByHand) {
  const RunningRoutes routes = Routes();
  const routing::Decision decision = Decide(routes, "a@x.test");
  EXPECT_TRUE(decision.known);
  EXPECT_THAT(routes.Notes(decision), IsEmpty());
  EXPECT_EQ(routes.Text(decision), "sends the user to " + routes.First(decision));
}

TEST_F(RunningServerTest, AWeightOfZeroSendsUsersElsewhere) {
  const std::string before = Routes().First(Decide(Routes(), "a@x.test"));
  const size_t home = static_cast<size_t>(before[1] - '1');
  Health(home).weight_set = 0;
  Health(home).weight_by = "uid 0 (pid 8)";
  const RunningRoutes routes = Routes();
  const routing::Decision decision = Decide(routes, "a@x.test");
  EXPECT_NE(routes.First(decision), before);
  EXPECT_NE(routes.First(decision), "");
  EXPECT_THAT(routes.Notes(decision), ElementsAre(before + ": weight 0 by uid 0 (pid 8)"));
}

TEST_F(RunningServerTest, DrainedDisabledAndDown) {
  Disable(0, "draining");
  Health(1).health = "down";
  Health(1).up = false;
  Health(1).reason = "connect: refused";
  RunningRoutes routes = Routes();
  for (const char* user : {"a@x.test", "b@x.test", "c@x.test", "d@x.test"}) {
    EXPECT_EQ(TextFor(routes, user), "sends the user to m3");
  }
  EXPECT_THAT(
      routes.Notes(Decide(routes, "a@x.test")),
      ElementsAre("m1: draining by uid 0 (pid 7): new disks", "m2: down: connect: refused"));
  Disable(2, "disabled");
  routes = Routes();
  EXPECT_THAT(TextFor(routes, "a@x.test"), HasSubstr("the client is told [SYS/TEMP]"));
  summary_.facts.pools = {{"mail", 3, 0, true}};
  routes = Routes();
  EXPECT_EQ(TextFor(routes, "a@x.test"), "sends the user to m2, although nobody is usable");
  EXPECT_EQ(Routes().DecideFor("m3").candidate_count, 0);
  EXPECT_EQ(Routes().Text(Routes().DecideFor("m3")),
            "does not send the user to m3, and to nobody else; the client is told [SYS/TEMP]");
}

TEST_F(RunningServerTest, WhoeverHasItsTurn) {
  Health(1).ejected_seconds_left = 5;
  Health(1).eject_reason = "connect: refused";
  balance_ = routing::Balance::kRoundRobin;
  const RunningRoutes routes = Routes();
  const routing::Decision decision = Decide(routes, "a@x.test");
  EXPECT_EQ(routes.Text(decision), "sends the user to one of m1, m3");
  EXPECT_EQ(routes.First(decision), "");
  EXPECT_THAT(routes.Notes(decision), ElementsAre("m2: ejected: connect: refused"));
}

TEST_F(RunningServerTest, AddedAndRemoved) {
  summary_.backends.erase(summary_.backends.begin(), summary_.backends.begin() + 3);
  summary_.facts.removed = {{"m1", "uid 0 (pid 9)", "too old"}, {"m2", "uid 0 (pid 9)", ""}};
  metrics::BackendHealth added;
  added.weight_configured = 100;
  added.added = true;
  added.added_by = "uid 0 (pid 5)";
  added.added_reason = "more \x1b room";
  Add("m6", added);
  const RunningRoutes routes = Routes();
  const routing::Decision decision = Decide(routes, "a@x.test");
  EXPECT_EQ(routes.Text(decision), "sends the user to m6");
  EXPECT_THAT(routes.Notes(decision),
              ElementsAre("m1: removed by uid 0 (pid 9): too old", "m2: removed by uid 0 (pid 9)",
                          "m3: not in the running server; has it read this file?",
                          "m6: added by uid 0 (pid 5): more \\x1b room"));
  EXPECT_EQ(routes.First(routes.DecideFor("m6")), "m6");
  EXPECT_FALSE(routes.DecideFor("m7").known);
}

TEST_F(RunningServerTest, LookupsAreNotAskedAgain) {
  const RunningRoutes routes = Routes();
  EXPECT_EQ(routes.First(routes.Decide("a@x.test", {{0, {Kind::kFound, "m2"}}})), "m2");
  EXPECT_FALSE(routes.Decide("a@x.test", {{0, {Kind::kFound, "10.0.0.1"}}}).known);
  EXPECT_FALSE(routes.Decide("a@x.test", {{0, {Kind::kForbidden, ""}}}).known);
  EXPECT_FALSE(routes.Decide("a@x.test", {}).known);
  EXPECT_EQ(routes.First(routes.Decide("a@alone.test", {})), "alone");
}

TEST_F(RunningServerTest, Holds) {
  const auto held = [&](const std::string& target, const std::string& user) {
    Routes(R"({"holds":[{"target":")" + target + R"(","by":"uid 0","reason":"disks"}]})");
    return HoldText(running_, user) == "by uid 0: disks";
  };
  EXPECT_TRUE(held("a@x.test", "a@x.test"));
  EXPECT_FALSE(held("a@x.test", "b@x.test"));
  EXPECT_TRUE(held("@x.test", "b@x.test"));
  EXPECT_FALSE(held("@x.test", "b@y.test"));
  EXPECT_TRUE(held("hash 0-f", "b@x.test"));
  EXPECT_FALSE(held("hash what", "b@x.test"));
  EXPECT_NE(held("hash 0-7", "b@x.test"), held("hash 8-f", "b@x.test"));
}

TEST_F(RunningServerTest, AnotherAnswer) {
  for (const char* json : {"", "[]", "{}", R"({"backends":[{"health":{}}],"removed":[]})"}) {
    EXPECT_FALSE(ReadRunningServer(json, "").ok()) << json;
  }
  EXPECT_FALSE(ReadRunningServer(StatusJson(summary_), "{}").ok());
}

}  // namespace
}  // namespace postern::admin
