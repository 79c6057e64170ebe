// What a [[route]] may go by: users, a map, a constant database, rules.
#include <string>
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
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.1:110" }]
[[listener]]
address = "[::]:110"
tls = "off"
plaintext_logins = true
)";

absl::StatusOr<Config> Parse(const std::string& route) {
  return ParseConfig(absl::StrCat("[[route]]\n", route, "\n", kRest), "etc/f");
}

TEST(RouteKindsTest, AreTakenOver) {
  const auto config = Parse(
      "cdb = \"users.cdb\"\n[[route]]\nrules = \"/r/users.rules\"\n[[route]]\n"
      "regex = 'u([1-9])@example\\.org'\ntarget = 'mail\\1'");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto& routes = config->routing.routes;
  ASSERT_EQ(routes.size(), 3u);
  EXPECT_EQ(routes[0].cdb_file, "etc/users.cdb");
  EXPECT_EQ(routes[1].rules_file, "/r/users.rules");
  EXPECT_EQ(routes[2].regex, "u([1-9])@example\\.org");
  EXPECT_EQ(routes[2].target, "mail\\1");
  EXPECT_EQ(routes[2].line, 5);
}

TEST(RouteKindsTest, Mistakes) {
  const struct {
    std::string route;
    std::string mistake;
  } cases[] = {
      {"map = \"m\"\ncdb = \"c\"", "3:7: this route has both map and cdb; write two routes"},
      {"cdb = \"c\"\nrules = \"r\"", "3:9: this route has both cdb and rules"},
      {"rules = \"r\"\nusers = \"*\"", "3:9: this route has both rules and users"},
      {"cdb = \"c\"\npool = \"mail\"",
       "3:8: a route with a cdb takes no pool: the database names it for each user; remove it"},
      {"regex = 'a'\ntarget = 'mail'\nbackend = \"mail1\"",
       "4:11: a route with a regex takes no backend: target names it"},
      {"regex = 'a'", "1:1: this route leads nowhere; write target = \"NAME\""},
      {"users = \"*\"\ntarget = 'mail'\npool = \"mail\"", "3:10: target belongs to a regex"},
      {"regex = '('\ntarget = 'mail'", "2:9: the expression is no regular expression: missing )"},
      {"regex = 'a'\ntarget = 'mial'", "2:9: \"mial\" is neither a backend nor a pool"},
      {"regex = 'a'\ntarget = 'mail\\1'", "2:9: the target uses \\1, but the expression has 0"},
      {"regex = ''\ntarget = 'mail'", "2:9: regex is empty"},
      {"cdb = 1", "2:7: cdb is a whole number; it must be a string in quotes"},
  };
  for (const auto& c : cases) {
    const auto config = Parse(c.route);
    ASSERT_FALSE(config.ok()) << c.route;
    const std::vector<std::string> lines = absl::StrSplit(config.status().message(), '\n');
    EXPECT_EQ(lines.size(), 1u) << config.status().message();
    EXPECT_THAT(lines[0], HasSubstr("etc/f:" + c.mistake));
  }
}

// A carried exchange must be possible at every backend that rules may name.
TEST(RouteKindsTest, RulesMayReachEveryBackend) {
  for (const char* route : {"cdb = \"c\"", "rules = \"r\"", "regex = 'a'\ntarget = 'mail'"}) {
    const auto config = ParseConfig(
        absl::StrCat("[[route]]\n", route, "\n[auth]\nmechanisms = [\"xoauth2\"]\n", kRest), "f");
    ASSERT_FALSE(config.ok()) << route;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr("shows us no password"));
  }
}

}  // namespace
}  // namespace postern::config
