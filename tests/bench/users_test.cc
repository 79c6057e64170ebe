#include "bench/load/users.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::load {
namespace {

TEST(UsersTest, TheNumberStandsWhereThePatternSays) {
  const absl::StatusOr<UserPattern> users = ParseUsers("a%d@example.org", 10);
  ASSERT_TRUE(users.ok());
  EXPECT_EQ(users->Name(7), "a7@example.org");
  EXPECT_EQ(ParseUsers("%d", 10)->Name(7), "7");
}

TEST(UsersTest, WithoutANumberEverybodyIsTheSame) {
  const absl::StatusOr<UserPattern> users = ParseUsers("alice@example.org", 10);
  ASSERT_TRUE(users.ok());
  EXPECT_EQ(users->population, 0u);
  EXPECT_EQ(users->Name(7), "alice@example.org");
}

TEST(UsersTest, MistakesAreRefused) {
  EXPECT_FALSE(ParseUsers("", 10).ok());
  EXPECT_FALSE(ParseUsers("%d%d", 10).ok());
  EXPECT_FALSE(ParseUsers("a\r\nQUIT", 10).ok());
  EXPECT_FALSE(ParseUsers(std::string(500, 'x'), 10).ok());
}

absl::StatusOr<UserFile> ParseFile(std::string text) {
  return UserFile::Parse(std::move(text), "users");
}

TEST(UserFileTest, NamesAndTheirOwnPasswords) {
  const absl::StatusOr<UserFile> users =
      ParseFile("alice@example.org\nbob secret of bob\r\n\n  \ncarol\t x \nlast");
  ASSERT_TRUE(users.ok()) << users.status();
  ASSERT_EQ(users->size(), 4u);
  EXPECT_EQ(users->Name(0), "alice@example.org");
  EXPECT_EQ(users->Password(0), "");
  EXPECT_EQ(users->Name(1), "bob");
  EXPECT_EQ(users->Password(1), "secret of bob");
  EXPECT_EQ(users->Name(2), "carol");
  EXPECT_EQ(users->Password(2), "x");
  EXPECT_EQ(users->Name(3), "last");
}

TEST(UserFileTest, MistakesNameTheLineButNotWhatIsInIt) {
  const std::string problem(ParseFile("alice\nbob sec\x01ret\n").status().message());
  EXPECT_EQ(problem, "users:2: a control character");
  EXPECT_EQ(ParseFile(" alice\n").status().message(), "users:1: the line begins with a blank");
  EXPECT_FALSE(ParseFile(std::string(401, 'x')).ok());
  EXPECT_FALSE(ParseFile("").ok());
  EXPECT_FALSE(ParseFile("\n\n").ok());
  EXPECT_FALSE(UserFile::Read("/nowhere/users").ok());
}

TEST(UserChoiceTest, WithoutSkewAllUsersAreAlike) {
  const UserChoice choice(10, 0, 1);
  std::vector<int> sessions(10);
  for (uint64_t i = 0; i < 20000; ++i) ++sessions.at(choice.Pick(i));
  for (const int count : sessions) {
    EXPECT_GT(count, 1700);
    EXPECT_LT(count, 2300);
  }
}

TEST(UserChoiceTest, SkewMakesTheFirstUsersComeOften) {
  // Zipf with exponent 2 over many: user 0 has 6/pi^2 of the sessions, user 1 a quarter of that.
  const UserChoice choice(uint64_t{1} << 40, 2, 1);
  int first = 0;
  int second = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const uint64_t user = choice.Pick(i);
    first += user == 0 ? 1 : 0;
    second += user == 1 ? 1 : 0;
  }
  EXPECT_NEAR(first / 20000.0, 0.608, 0.03);
  EXPECT_NEAR(second / 20000.0, 0.152, 0.02);
}

TEST(UserChoiceTest, TheSameSeedPicksTheSame) {
  const UserChoice one(1000, 1.5, 7);
  const UserChoice same(1000, 1.5, 7);
  const UserChoice other(1000, 1.5, 8);
  int different = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(one.Pick(i), same.Pick(i));
    different += one.Pick(i) == other.Pick(i) ? 0 : 1;
  }
  EXPECT_GT(different, 10);
  EXPECT_EQ(UserChoice(0, 0, 1).Pick(5), 0u);
  EXPECT_EQ(UserChoice(1, 1.5, 1).Pick(5), 0u);
}

TEST(UserChoiceTest, AShareOfTheSessions) {
  const UserChoice choice(10, 0, 1);
  int among = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    among += choice.IsAmong(i, 30) ? 1 : 0;
    EXPECT_FALSE(choice.IsAmong(i, 0));
    EXPECT_TRUE(choice.IsAmong(i, 100));
  }
  EXPECT_NEAR(among / 20000.0, 0.3, 0.02);
}

}  // namespace
}  // namespace postern::load
