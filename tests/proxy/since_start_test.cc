#include "proxy/since_start.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

config::Config WithWorkers(int workers) {
  config::Config config;
  config.workers = workers;
  return config;
}

config::Listener ListenerAt(const char* address, int backlog) {
  config::Listener listener;
  listener.name = "front";
  listener.address = *SocketAddress::Parse(address);
  listener.backlog = backlog;
  return listener;
}

TEST(SinceStart, ComparesWithTheStartAndNotWithTheLastReload) {
  SinceStart since;
  since.Begin(WithWorkers(2));
  since.Use(WithWorkers(2));
  EXPECT_THAT(since.WaitingForRestart(WithWorkers(2)), IsEmpty());
  EXPECT_THAT(since.WaitingForRestart(WithWorkers(4)), ElementsAre("workers"));
  since.Use(WithWorkers(4));
  // Still not in use, and then not wanted any more.
  EXPECT_THAT(since.WaitingForRestart(WithWorkers(4)), ElementsAre("workers"));
  since.Use(WithWorkers(4));
  EXPECT_THAT(since.WaitingForRestart(WithWorkers(2)), IsEmpty());
}

TEST(SinceStart, NamesEachKey) {
  config::Config now;
  now.log.sessions = "/var/log/a";
  SinceStart since;
  since.Begin(now);
  since.Use(now);
  config::Config wanted = now;
  wanted.io = config::IoChoice::kEpoll;
  wanted.admin.address = "127.0.0.1:1";
  wanted.admin.token_file = "/token";
  wanted.admin.state_file = "/state";
  wanted.log.sessions = "/var/log/b";
  wanted.log.format = config::LogFormat::kJson;
  ++wanted.limits.sessions_max;
  ++wanted.limits.receive_buffers;
  EXPECT_THAT(since.WaitingForRestart(wanted),
              ElementsAre("io", "admin.address", "admin.token_file", "admin.state_file",
                          "log.sessions", "log.format", "limits.sessions",
                          "limits.receive_buffers or receive_buffer_bytes"));
  EXPECT_EQ(since.log().sessions, "/var/log/a");
}

TEST(SinceStart, SocketsAreAsTheyWereWhenTheyWereOpened) {
  SinceStart since;
  config::Config config;
  since.Begin(config);
  config.listeners = {ListenerAt("127.0.0.1:110", 10)};
  since.Use(config);
  config.listeners = {ListenerAt("127.0.0.1:110", 20), ListenerAt("127.0.0.1:995", 30)};
  since.Use(config);
  EXPECT_THAT(since.WaitingForRestart(config), ElementsAre("backlog of listener front"));
  config.listeners[0].v6only = !config.listeners[0].v6only;
  EXPECT_THAT(since.WaitingForRestart(config),
              ElementsAre("v6only of listener front", "backlog of listener front"));
  config.listeners = {ListenerAt("127.0.0.1:110", 10)};
  EXPECT_THAT(since.WaitingForRestart(config), IsEmpty());
  // Closed, and opened anew.
  config.listeners.clear();
  since.Use(config);
  config.listeners = {ListenerAt("127.0.0.1:110", 20)};
  since.Use(config);
  EXPECT_THAT(since.WaitingForRestart(config), IsEmpty());
}

TEST(SinceStart, TablesOfTheGuardAreMadeWhenTheyAreFirstNeeded) {
  SinceStart since;
  config::Config config;
  since.Begin(config);
  since.Use(config);
  config.guard.entries = 5000;
  EXPECT_THAT(since.WaitingForRestart(config), IsEmpty());
  config.guard.failures.on = true;
  EXPECT_THAT(since.WaitingForRestart(config), IsEmpty());
  since.Use(config);
  config.guard.entries = 6000;
  EXPECT_THAT(since.WaitingForRestart(config), ElementsAre("guard.entries"));
  config.guard.entries = 5000;
  EXPECT_THAT(since.WaitingForRestart(config), IsEmpty());
}

}  // namespace
}  // namespace postern
