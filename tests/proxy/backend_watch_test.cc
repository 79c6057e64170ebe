#include "proxy/backend_watch.h"

#include "gtest/gtest.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

TEST(BackendWatch, TellsEachChangeOfThoseThatWantIt) {
  log::Configure(log::Level::kError);
  auto snapshot = std::make_shared<Snapshot>();
  routing::BackendStates states;
  for (const char* name : {"a", "b"}) {
    config::Backend backend;
    backend.name = name;
    snapshot->config.backends.push_back(backend);
    snapshot->backend_states.push_back(states.Get(name));
  }
  snapshot->config.backends[0].health.end_over = 5 * kSecond;

  BackendWatch watch;
  EXPECT_TRUE(watch.Look().empty());
  watch.Configure(snapshot);
  EXPECT_TRUE(watch.Look().empty());
  const routing::CheckRules at_once{1, 1};
  const routing::CheckResult bad;
  states.Get("a")->OnCheck(bad, at_once, 1);
  states.Get("b")->OnCheck(bad, at_once, 1);
  std::vector<BackendWatch::Change> changes = watch.Look();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].backend, "a");
  EXPECT_EQ(changes[0].end_over, 5 * kSecond);
  EXPECT_TRUE(watch.Look().empty());
  routing::CheckResult good;
  good.good = true;
  states.Get("a")->OnCheck(good, at_once, 2);
  changes = watch.Look();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].backend, "a");
  EXPECT_EQ(changes[0].end_over, 0);
  EXPECT_TRUE(watch.Look().empty());
  log::Configure(log::Level::kInfo);
}

}  // namespace
}  // namespace postern
