#include "routing/user_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/base/log.h"

namespace postern::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::shared_ptr<const TargetNames> Targets() {
  return std::make_shared<const TargetNames>(
      TargetNames{{"mail1", 0}, {"mail2", 1}, {"pool", 2}, {"both", kAmbiguousTarget}});
}

std::unique_ptr<const UserRules> MustParse(const std::string& text) {
  auto rules = UserRules::Parse(text, "users.rules", Targets());
  EXPECT_TRUE(rules.ok()) << rules.status();
  return rules.ok() ? *std::move(rules) : nullptr;
}

int TargetOf(const UserRules& rules, absl::string_view user) {
  const auto target = rules.Find(user);
  return target.has_value() ? static_cast<int>(*target) : -1;
}

class UserRulesTest : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError); }
  void TearDown() override { log::Configure(log::Level::kInfo); }
};

TEST_F(UserRulesTest, FormsTheNameAndTheFirstMatchWins) {
  const auto rules = MustParse(
      "\xef\xbb\xbf# the farm\r\n"
      "\r\n"
      "u([0-9])[0-9]*@example\\.org\tmail\\1\r\n"
      "  (?i)info@.*  \t pool \n"
      "(p)(oo)(l)-.*\t\\1\\2\\3\n"
      ".*@example\\.org\tmail2");
  ASSERT_NE(rules, nullptr);
  EXPECT_EQ(rules->size(), 4u);
  EXPECT_EQ(TargetOf(*rules, "u1@example.org"), 0);
  EXPECT_EQ(TargetOf(*rules, "u245@example.org"), 1);
  EXPECT_EQ(TargetOf(*rules, "INFO@example.net"), 2);
  EXPECT_EQ(TargetOf(*rules, "pool-7"), 2);
  EXPECT_EQ(TargetOf(*rules, "bob@example.org"), 1);
  EXPECT_EQ(TargetOf(*rules, "bob@example.net"), -1);
  // Anchored at both ends, and a dot that is escaped is a dot.
  EXPECT_EQ(TargetOf(*rules, "bob@example.organic"), -1);
  EXPECT_EQ(TargetOf(*rules, "bob@exampleXorg"), -1);
  EXPECT_EQ(TargetOf(*rules, ""), -1);
}

TEST_F(UserRulesTest, ANameThatNobodyHasIsUnknownAndEndsTheSearch) {
  const auto rules = MustParse("u([0-9])@.*\tmail\\1\n(x*)@.*\t\\1\n(both)@x\t\\1\n.*\tmail2\n");
  ASSERT_NE(rules, nullptr);
  EXPECT_EQ(TargetOf(*rules, "u2@x"), 1);
  EXPECT_EQ(TargetOf(*rules, "u9@x"), -1);
  EXPECT_EQ(TargetOf(*rules, "both@x"), -1);
  // Longer than any name.
  EXPECT_EQ(TargetOf(*rules, std::string(300, 'x') + "@y"), -1);
  EXPECT_EQ(TargetOf(*rules, "v"), 1);
  const UserRules::Hit hit = rules->Explain("u9@x");
  EXPECT_EQ(hit.line, 1);
  EXPECT_EQ(hit.name, "mail9");
  EXPECT_FALSE(hit.target.has_value());
}

TEST_F(UserRulesTest, TheLogTellsSuchANameOnceForEachRule) {
  log::Configure(log::Level::kWarning);
  const auto rules = MustParse("u([0-9])@.*\tmail\\1\n(.*)\t\\1\n");
  ASSERT_NE(rules, nullptr);
  log::Flush();
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    rules->Find("u9@x");
    rules->Find("nobody\x1b");
    rules->Find("u1@x");
  }
  rules->Explain("u8@x");
  log::Flush();
  const std::string text = ::testing::internal::GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u) << text;
  EXPECT_THAT(lines[0], HasSubstr("users.rules:1: forms the name \"mail9\" that no backend"));
  EXPECT_THAT(lines[1], HasSubstr("users.rules:2: forms the name \"nobody\\x1b\" that"));
}

TEST_F(UserRulesTest, GroupsThatTookNoPartAreEmpty) {
  const auto rules = MustParse("(a)?(mail1)\t\\1\\2\n");
  ASSERT_NE(rules, nullptr);
  EXPECT_EQ(TargetOf(*rules, "mail1"), 0);
  EXPECT_EQ(TargetOf(*rules, "amail1"), -1);
}

TEST_F(UserRulesTest, AByteIsACharacter) {
  const auto rules = MustParse("j.rg\tmail1\n");
  ASSERT_NE(rules, nullptr);
  EXPECT_EQ(TargetOf(*rules, "j\xf6rg"), 0);
  EXPECT_EQ(TargetOf(*rules, "j\xc3\xb6rg"), -1);
}

TEST_F(UserRulesTest, MistakesHaveTheirLine) {
  const struct {
    std::string line;
    std::string mistake;
  } cases[] = {
      {"mail1", "an expression and its backend or pool are expected, with a tab"},
      {".*\t", "an expression and its backend or pool are expected"},
      {"\tmail1", "an expression and its backend or pool are expected"},
      {"(\tmail1", "the expression is no regular expression: missing ): (; correct it"},
      {"(?<=a)b\tmail1", "the expression is no regular expression: invalid perl operator"},
      {".*\tmail9", "\"mail9\" is neither a backend nor a pool"},
      {".*\tboth", "\"both\" is the name of a backend and of a pool"},
      {".*\tmail\\1", "the target uses \\1, but the expression has 0 pairs of parentheses"},
      {"(.)\tmail\\2", "the target uses \\2, but the expression has 1 pair of parentheses"},
      {"(.)\tmail\\0", "a backslash in the target stands before a digit from 1 to 9"},
      {"(.)\tmail\\", "a backslash in the target stands before a digit"},
      {std::string(5000, 'a') + "\tmail1", "the expression is longer than 4096 bytes"},
  };
  for (const auto& c : cases) {
    const auto rules = UserRules::Parse("# first\n" + c.line + "\n.*\tmail1\n", "r", Targets());
    ASSERT_FALSE(rules.ok()) << c.line;
    EXPECT_THAT(std::string(rules.status().message()), StartsWith("r:2: " + c.mistake));
  }
  std::string many;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, "wrong\n");
  const auto rules = UserRules::Parse(many, "r", Targets());
  const std::vector<std::string> lines = absl::StrSplit(rules.status().message(), '\n');
  EXPECT_EQ(lines.size(), 20u);
}

TEST_F(UserRulesTest, NotMoreThanAThousand) {
  std::string text;
  for (size_t i = 0; i < kRulesMax; ++i) absl::StrAppend(&text, "u", i, "\tmail1\n");
  EXPECT_EQ(MustParse(text)->size(), kRulesMax);
  const auto rules = UserRules::Parse(text + "more\tmail1\n", "r", Targets());
  EXPECT_THAT(std::string(rules.status().message()),
              StartsWith("r:1001: there are more than 1000 rules; write a map"));
}

TEST_F(UserRulesTest, OneRuleOfTheConfiguration) {
  const auto rule = UserRules::Single("u(.)", "mail\\1", 41, Targets());
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(TargetOf(**rule, "u2"), 1);
  EXPECT_EQ((*rule)->Explain("u2").line, 41);
  EXPECT_THAT(std::string(UserRules::Single("(", "x", 1, Targets()).status().message()),
              StartsWith("the expression is no regular expression"));
}

TEST_F(UserRulesTest, FilesThatCannotBeRead) {
  EXPECT_THAT(std::string(UserRules::Load("/nonexistent/r", Targets()).status().message()),
              StartsWith("/nonexistent/r: cannot be opened"));
  EXPECT_THAT(std::string(UserRules::Load("/tmp", Targets()).status().message()),
              StartsWith("/tmp: is not a regular file"));
}

}  // namespace
}  // namespace postern::routing
