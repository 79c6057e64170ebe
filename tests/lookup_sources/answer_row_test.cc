#include "routing/lookup/answer_row.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::routing {
namespace {

using ::testing::HasSubstr;

std::string Bracketed(absl::string_view text) { return absl::StrCat("<", text, ">"); }

std::string Fill(absl::string_view pattern, absl::string_view user) {
  return FillPattern(pattern, UserParts(user), &Bracketed);
}

TEST(FillPatternTest, EachWordOnce) {
  EXPECT_EQ(Fill("(mail={user})", "a@b@c"), "(mail=<a@b@c>)");
  EXPECT_EQ(Fill("{domain}/{local}", "a@b@c"), "<c>/<a@b>");
  EXPECT_EQ(Fill("{domain}/{local}", "alice"), "<>/<alice>");
  // What is put in is not looked at again, and other braces stay.
  EXPECT_EQ(Fill("{user}", "{local}@{user}"), "<{local}@{user}>");
  EXPECT_EQ(Fill("{{user}{x}{", "a"), "{<a>{x}{");
}

TEST(FillPatternTest, WhichPatternsNameTheUser) {
  EXPECT_TRUE(PatternNamesUser("x{user}"));
  EXPECT_TRUE(PatternNamesUser("{local}"));
  EXPECT_FALSE(PatternNamesUser("{domain}"));
  EXPECT_FALSE(PatternNamesUser("user"));
}

TEST(AnswerOfTest, WhatARowMeans) {
  AnswerRow row;
  EXPECT_EQ(AnswerOf(std::move(row), "X").kind, LookupAnswer::Kind::kForbidden);
  row = AnswerRow();
  row.target = "mail1";
  row.login_user = "bob";
  row.login_secret.emplace("secret");
  const LookupAnswer answer = AnswerOf(std::move(row), "X");
  EXPECT_EQ(answer.kind, LookupAnswer::Kind::kFound);
  EXPECT_EQ(answer.target, "mail1");
  EXPECT_EQ(answer.login_user, "bob");
  EXPECT_EQ(answer.login_secret->view(), "secret");
}

TEST(AnswerOfTest, ValuesThatCannotBeUsed) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "is empty"},
      {std::string(513, 'x'), "is longer than 512 bytes"},
      {"a\r\nQUIT", "holds a control character"},
      {std::string("a\0", 2), "holds a control character"},
      {"a\x7f", "holds a control character"},
  };
  for (const auto& [value, fault] : cases) {
    for (int which = 0; which < 3; ++which) {
      AnswerRow row;
      row.target = which == 0 ? value : "mail1";
      if (which == 1) row.login_user = value;
      if (which == 2) row.login_secret.emplace(value);
      const LookupAnswer answer = AnswerOf(std::move(row), "X");
      EXPECT_EQ(answer.kind, LookupAnswer::Kind::kTemporary);
      EXPECT_THAT(answer.detail, HasSubstr(fault));
      EXPECT_FALSE(answer.login_secret.has_value());
    }
  }
}

TEST(ScrubbedTest, OneLineWithoutTheSecret) {
  EXPECT_EQ(Scrubbed(" ERROR:\n no \"pass word\" pass\tword \n", Secret("pass word")),
            "ERROR:  no '***' pass word");
  EXPECT_EQ(Scrubbed("a\x1b[2J", Secret()), "a\\x1b[2J");
  EXPECT_LE(Scrubbed(std::string(10000, 'x'), Secret()).size(), 303u);
}

}  // namespace
}  // namespace postern::routing
