// Mistakes in [guard].
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

struct BadGuard {
  std::string name;
  std::string line;     // the second of the file, behind [guard]
  std::string mistake;  // "line:column: " and how the message begins
};

void PrintTo(const BadGuard& bad, std::ostream* out) { *out << bad.name; }

class BadGuardTest : public ::testing::TestWithParam<BadGuard> {};

TEST_P(BadGuardTest, OneMistakeAtItsPlace) {
  const std::string text = absl::StrCat("[guard]\n", GetParam().line, R"(
[[listener]]
address = "[::]:995"
[tls]
certificates = [{ chain = "c.pem", key = "k.pem" }]
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.11:110" }]
[[route]]
users = "*"
pool = "mail"
)");
  const absl::StatusOr<Config> config = ParseConfig(text, "f");
  ASSERT_FALSE(config.ok());
  const std::string message(config.status().message());
  EXPECT_TRUE(absl::StartsWith(message, absl::StrCat("f:", GetParam().mistake))) << message;
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(message, '\n')).size(), 1u) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Guard, BadGuardTest,
    ::testing::Values(
        BadGuard{"Key", "session = {}", "2:1: unknown key \"session\" in [guard]; did you mean"},
        BadGuard{"Prefix", "ipv4_prefix = 33", "2:15: ipv4_prefix = 33"},
        BadGuard{"Prefix6", "ipv6_prefix = 8", "2:15: ipv6_prefix = 8"},
        BadGuard{"Exempt", "exempt = [\"10.0.0.1/8\"]", "2:11: exempt: \"10.0.0.1/8\" has bits"},
        BadGuard{"SessionsType", "sessions = 5", "2:12: sessions is"},
        BadGuard{"SessionsKey", "sessions = { users = 5 }",
                 "2:14: unknown key \"users\" in sessions; did you mean \"user\""},
        BadGuard{"Sessions", "sessions = { ip = -1 }", "2:19: ip = -1"},
        BadGuard{"RateWithoutUnit", "connections = { ip = \"5\" }",
                 "2:22: ip = \"5\" is not a rate from 1 to 1000000; write \"30/m\""},
        BadGuard{"RateOfNothing", "connections = { ip = \"0/s\" }", "2:22: ip = \"0/s\" is not a"},
        BadGuard{"RateUnit", "connections = { prefix = \"5/d\" }", "2:26: prefix = \"5/d\" is not"},
        BadGuard{"RateSign", "connections = { listener = \"-5/s\" }",
                 "2:28: listener = \"-5/s\" is not a rate"},
        BadGuard{"RateNumber", "connections = { ip = 5 }", "2:22: ip is a"},
        BadGuard{"Failures", "failures = { user = 1000001 }", "2:21: user = 1000001"},
        BadGuard{"Forget", "failures = { forget = \"1ms\" }", "2:23: forget = \"1ms\" is out of"},
        BadGuard{"Delays", "failures = { delay = \"20s\", delay_max = \"10s\" }",
                 "2:41: delay_max is shorter than the delay of 20s; make it longer"},
        BadGuard{"LoginDelay", "login_delay = \"2h\"",
                 "2:15: login_delay = \"2h\" is out of range"},
        BadGuard{"KnownFor", "known_for = \"1s\"", "2:13: known_for = \"1s\" is out of range"},
        BadGuard{"Deny", "deny = \"file\"", "2:8: deny is"},
        BadGuard{"Unlisted", "unlisted = \"no\"", "2:12: unlisted = \"no\""},
        BadGuard{"UnlistedWithoutAllow", "unlisted = \"deny\"",
                 "2:12: unlisted = \"deny\" lets nobody in but those on a list; write allow = "},
        BadGuard{"Entries", "entries = 10", "2:11: entries = 10"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace postern::config
