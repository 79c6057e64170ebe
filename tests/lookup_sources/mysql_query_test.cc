#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "routing/lookup/mysql_source.h"

namespace postern::routing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TranslateQueryTest, NumbersBecomeQuestionMarks) {
  const auto query = TranslateQuery("SELECT $3, x FROM t WHERE n=$1 OR $2=$1");
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->text, "SELECT ?, x FROM t WHERE n=? OR ?=?");
  EXPECT_THAT(query->parameters, ElementsAre(3, 1, 2, 1));
}

TEST(TranslateQueryTest, QuotesAndCommentsStay) {
  for (const std::string text : {"'$1?'", "'a''$1'", "'a\\'$1'", "\"$9\"", "`$9`", "/* $9 ? */",
                                 "-- $9\n", "# ?\n", "# ?", "a$b", "$", "$a", "a - -1"}) {
    const auto query = TranslateQuery(text + "$2");
    const bool to_the_end = text.back() == '?';
    ASSERT_TRUE(query.ok()) << text << ": " << query.status();
    EXPECT_EQ(query->text, to_the_end ? text + "$2" : text + "?");
    EXPECT_EQ(query->parameters.size(), to_the_end ? 0u : 1u);
  }
}

TEST(TranslateQueryTest, Mistakes) {
  const std::pair<std::string, std::string> cases[] = {
      {"x = ?", "the query has a ?"},
      {"$0", "another number than 1, 2 or 3"},
      {"$4", "another number than 1, 2 or 3"},
      {"$10", "another number than 1, 2 or 3"},
      {"'$1", "has no end"},
      {"'$1\\'", "has no end"},
      {"/* $1 *", "has no end"},
      {"`", "has no end"},
  };
  for (const auto& [text, mistake] : cases) {
    const auto query = TranslateQuery(text);
    ASSERT_FALSE(query.ok()) << text;
    EXPECT_THAT(std::string(query.status().message()), HasSubstr(mistake));
  }
}

}  // namespace
}  // namespace postern::routing
