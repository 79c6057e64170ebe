#include "proxy/pool_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PoolWatch, TellsEachChangeOnce) {
  log::Configure(log::Level::kError);
  auto snapshot = std::make_shared<Snapshot>();
  routing::RouterOptions& options = snapshot->config.routing;
  options.backends = {{"a", 100, false, {}}, {"b", 100, false, {}}};
  options.pools = {
      {"mail", routing::Balance::kRendezvous, {0, 1}, false, {}, true, 0, 0, {}, {}, 0}};
  routing::RouteOptions route;
  route.users = "*";
  route.pool = "mail";
  options.routes = {route};
  snapshot->router = routing::Router::Create(options).value();
  routing::BackendStates states;
  snapshot->backend_states = {states.Get("a"), states.Get("b")};

  PoolWatch watch;
  EXPECT_THAT(watch.Look(1), IsEmpty());
  watch.Configure(snapshot);
  EXPECT_THAT(watch.Look(1), IsEmpty());
  const routing::CheckRules at_once{1, 1};
  routing::CheckResult dead;
  dead.reachable = false;
  states.Get("a")->OnCheck(dead, at_once, 1);
  EXPECT_THAT(watch.Look(1), IsEmpty());
  states.Get("b")->OnCheck(dead, at_once, 1);
  EXPECT_THAT(watch.Look(1), ElementsAre("pool mail: none of its 2 backends can be used; its users "
                                         "are told [SYS/TEMP]"));
  EXPECT_THAT(watch.Look(2), IsEmpty());
  states.Get("b")->OnCheck(routing::CheckResult(), at_once, 2);
  EXPECT_THAT(watch.Look(2), ElementsAre("pool mail: panic: none of its 2 backends is well; those "
                                         "that may answer are used nevertheless"));
  routing::CheckResult good;
  good.good = true;
  states.Get("a")->OnCheck(good, at_once, 3);
  EXPECT_THAT(watch.Look(3), ElementsAre("pool mail: 1 of 2 backends can be used again"));
  EXPECT_THAT(watch.Look(4), IsEmpty());
  log::Configure(log::Level::kInfo);
}

}  // namespace
}  // namespace postern
