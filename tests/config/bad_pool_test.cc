// Mistakes in what pools and backends say about health and balancing.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

using ::testing::HasSubstr;

constexpr absl::string_view kRest = R"(
[[backend]]
name = "single"
address = "10.0.0.3:110"
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
[[route]]
users = "*"
pool = "mail"
)";

struct BadPool {
  std::string name;
  std::string keys;                   // of the pool, from the third line on
  std::vector<std::string> mistakes;  // "line:column: beginning of the message"
  std::string backends = "{ name = \"mail1\", address = \"10.0.0.1:110\" }";
};

class BadPoolTest : public ::testing::TestWithParam<BadPool> {};

TEST_P(BadPoolTest, IsToldWhatAndWhere) {
  const BadPool& bad = GetParam();
  const std::string text = absl::StrCat("[[pool]]\nname = \"mail\"\n", bad.keys, "\nbackends = [",
                                        bad.backends, "]\n", kRest);
  const absl::StatusOr<Config> config = ParseConfig(text, "f");
  ASSERT_FALSE(config.ok()) << text;
  const std::vector<std::string> lines = absl::StrSplit(config.status().message(), '\n');
  ASSERT_EQ(lines.size(), bad.mistakes.size()) << config.status().message();
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_THAT(lines[i], HasSubstr("f:" + bad.mistakes[i]));
  }
}

std::vector<BadPool> HealthCases() {
  return {
      {"Type", "health = \"greeting\"", {"3:10: health is a string"}},
      {"Key",
       "health = { prob = \"tcp\" }",
       {"3:12: unknown key \"prob\" in health; did you mean"}},
      {"Probe", "health = { probe = \"http\" }", {"3:20: probe = \"http\""}},
      {"Interval", "health = { interval = \"1ms\" }", {"3:23: interval = \"1ms\""}},
      {"EndOver", "health = { end_over = \"25h\" }", {"3:23: end_over = \"25h\""}},
      {"Rise", "health = { rise = 0 }", {"3:19: rise = 0"}},
      {"Fall", "health = { fall = 101 }", {"3:19: fall = 101"}},
      {"FastIsSlower",
       "health = { fast_interval = \"5s\" }",
       {"3:28: fast_interval is longer than the interval of 2s"}},
      {"TlsProbeWithoutTls",
       "health = { probe = \"tls\" }",
       {"3:10: probe = \"tls\" of backend \"mail1\", which has tls = \"off\""}},
      {"UserWithoutLogin",
       "health = { user = \"canary\", password_file = \"p\" }",
       {"3:19: user means nothing without probe = \"login\"",
        "3:45: password_file means nothing without probe = \"login\""}},
      {"LoginWithoutUser",
       "health = { probe = \"login\", password_file = \"p\" }",
       {"3:10: probe = \"login\" needs a user of its own"}},
      {"LoginWithoutPassword",
       "health = { probe = \"login\", user = \"canary\" }",
       {"3:10: probe = \"login\" of backend \"mail1\" needs the user's password"}},
      {"ForBackendsThatAreNamedOnly",
       "health = { probe = \"tcp\" }",
       {"3:10: health of a pool speaks for the backends written inside it"},
       "\"single\""},
  };
}

std::vector<BadPool> EjectCases() {
  return {
      {"Type", "eject = true", {"3:9: eject is true or false"}},
      {"Key", "eject = { failure = 3 }", {"3:11: unknown key \"failure\" in eject; did you mean"}},
      {"Failures", "eject = { failures = 0 }", {"3:22: failures = 0"}},
      {"Share", "eject = { share_max_percent = 101 }", {"3:31: share_max_percent = 101"}},
      {"MaxBelowTime",
       "eject = { time = \"20s\", time_max = \"10s\" }",
       {"3:36: time_max is shorter than the time of 20s"}},
      {"SlowFactor",
       "failover = true\neject = { slow_factor = 1.5 }",
       {"4:25: slow_factor = 1.5 is out of range; it must be 2 to 100"}},
      {"SlowAtHome",
       "eject = { slow_factor = 3 }",
       {"3:25: a backend that is slow or refuses much can only be ejected where its users can go"}},
      {"SysAtHome",
       "eject = { sys_percent = 50 }\nfailover = false",
       {"3:25: a backend that is slow or refuses much can only be ejected"}},
      {"SysPercent",
       "failover = true\neject = { sys_percent = 101 }",
       {"4:25: sys_percent = 101 is out of range"}},
      {"FloorOfNothing",
       "failover = true\neject = { slow_floor = \"1s\", sys_percent = 50 }",
       {"4:24: slow_floor means nothing without slow_factor"}},
      {"WindowOfNothing",
       "failover = true\neject = { window = \"30s\", logins_min = 5 }",
       {"4:20: window means nothing without slow_factor or sys_percent",
        "4:40: logins_min means nothing without slow_factor or sys_percent"}},
      {"Window",
       "failover = true\neject = { sys_percent = 50, window = \"1s\" }",
       {"4:38: window = \"1s\" is out of range"}},
      {"LoginsMin",
       "failover = true\neject = { sys_percent = 50, logins_min = 1 }",
       {"4:42: logins_min = 1 is out of range"}},
  };
}

std::vector<BadPool> BalanceCases() {
  return {
      {"Balance", "balance = \"random\"", {"3:11: balance = \"random\" is not one of"}},
      {"LeastSessionsAtHome",
       "balance = \"least-sessions\"",
       {"3:11: balance = \"least-sessions\" takes users to other backends than their own"}},
      {"RoundRobinAtHome",
       "balance = \"round-robin\"\nfailover = false",
       {"3:11: balance = \"round-robin\" takes users to other backends"}},
      {"StaysAtHome",
       "affinity_for = \"10m\"",
       {"3:16: affinity_for does nothing without failover = true: each user has one backend"}},
      {"StaysWithoutAffinity",
       "failover = true\naffinity = false\naffinity_for = \"10m\"",
       {"5:16: affinity_for does nothing without affinity; remove it"}},
      {"BoundWithoutUsers",
       "balance = \"round-robin\"\nfailover = true\nload_bound = 1.5",
       {"5:14: load_bound means nothing with balance = \"round-robin\""}},
      {"BoundAtHome", "load_bound = 1.25", {"3:14: load_bound takes users to other backends"}},
      {"BoundTooLow",
       "failover = true\nload_bound = 1.0",
       {"4:14: load_bound = 1 is out of range; it must be 1.01 to 100"}},
      {"BoundIsText",
       "failover = true\nload_bound = \"1.25\"",
       {"4:14: load_bound is a string; it must be a number such as 1.25"}},
      {"BoundIsNoNumber",
       "failover = true\nload_bound = nan",
       {"4:14: load_bound = nan is out of range"}},
      {"SlowStartAtHome", "slow_start = \"30s\"", {"3:14: slow_start takes users to other"}},
      {"SlowStartTooShort",
       "failover = true\nslow_start = \"10ms\"",
       {"4:14: slow_start = \"10ms\" is out of range"}},
      {"BackupAtHome",
       "",
       {"4:76: a backup takes users to other backends than their own"},
       "\"single\", { name = \"mail1\", address = \"10.0.0.1:110\", backup = true }"},
      {"OnlyBackups",
       "failover = true",
       {"4:12: every backend of this pool is a backup"},
       "{ name = \"mail1\", address = \"10.0.0.1:110\", backup = true }"},
      {"FailoverUnreadable", "failover = 1\nload_bound = 2", {"3:12: failover is a whole number"}},
      {"QueueType", "queue = \"10s\"", {"3:9: queue is a string"}},
      {"QueueKey", "queue = { waits = \"1s\" }", {"3:11: unknown key \"waits\" in queue"}},
      {"QueueWait", "queue = { wait = \"1ms\" }", {"3:18: wait = \"1ms\" is out of range"}},
      {"QueueMax", "queue = { max = 0 }", {"3:17: max = 0 is out of range"}},
      {"QueueLongerThanTheLogin",
       "queue = { wait = \"90s\" }",
       {"3:9: nobody waits 90s: a login is given up after 1m"}},
      {"InUseType", "in_use = true", {"3:10: in_use is true or false; it must be a table"}},
      {"InUseKey", "in_use = { waits = \"1s\" }", {"3:12: unknown key \"waits\" in in_use"}},
      {"InUseWait", "in_use = { wait = \"1ms\" }", {"3:19: wait = \"1ms\" is out of range"}},
      {"InUseEndIdle",
       "in_use = { end_idle = \"10ms\" }",
       {"3:23: end_idle = \"10ms\" is out of range"}},
      {"InUseLongerThanTheLogin",
       "in_use = { wait = \"90s\" }",
       {"3:10: nobody waits 90s for a maildrop: a login is given up after 1m"}},
      {"InUseIdleForTooLong",
       "in_use = { end_idle = \"2h\" }",
       {"3:10: end_idle = \"2h\" does nothing: a session that is idle is ended after"}},
      {"AgentWithoutAddress",
       "",
       {"4:65: agent has no address"},
       "{ name = \"mail1\", address = \"10.0.0.1:110\", agent = {} }"},
      {"AgentHasAName",
       "",
       {"4:77: address = \"agent.example:9999\" is no place to ask"},
       "{ name = \"mail1\", address = \"10.0.0.1:110\", agent = { address = "
       "\"agent.example:9999\" } }"},
      {"Sessions", "max_sessions = 0", {"3:16: max_sessions = 0 is out of range"}},
      {"Logins", "max_logins_in_flight = \"5\"", {"3:24: max_logins_in_flight is a string"}},
  };
}

std::string NameOf(const ::testing::TestParamInfo<BadPool>& test) { return test.param.name; }
INSTANTIATE_TEST_SUITE_P(Health, BadPoolTest, ::testing::ValuesIn(HealthCases()), &NameOf);

INSTANTIATE_TEST_SUITE_P(Balance, BadPoolTest, ::testing::ValuesIn(BalanceCases()), &NameOf);

INSTANTIATE_TEST_SUITE_P(Eject, BadPoolTest, ::testing::ValuesIn(EjectCases()), &NameOf);

}  // namespace
}  // namespace postern::config
