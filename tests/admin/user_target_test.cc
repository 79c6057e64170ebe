#include "proxy/admin/user_target.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(UserTargetTest, OneUserOrMany) {
  const auto fields = [](const char* name, const char* range) {
    return ReadUserTarget(name, range).value().Fields();
  };
  EXPECT_THAT(fields("alice@example.org", ""), ElementsAre(Pair("user", "alice@example.org")));
  EXPECT_THAT(fields("*@example.org", ""), ElementsAre(Pair("domain", "example.org")));
  EXPECT_THAT(fields("@example.org", ""), ElementsAre(Pair("domain", "example.org")));
  EXPECT_THAT(fields("", "0-7"), ElementsAre(Pair("hash_range", "0-7")));
  EXPECT_THAT(fields("@", ""), ElementsAre(Pair("user", "@")));
  EXPECT_THAT(fields("", ""), IsEmpty());
}

TEST(UserTargetTest, WhatNobodyIsCalled) {
  const auto wrong = [](const char* name, const char* range) {
    return std::string(ReadUserTarget(name, range).status().message());
  };
  for (const char* name : {"*", "*@", "a*@x", "*@*.org", "*a"}) {
    EXPECT_THAT(wrong(name, ""), HasSubstr("is no user; many are named by")) << name;
  }
  EXPECT_THAT(wrong("alice", "0-7"), HasSubstr("one of them"));
}

}  // namespace
}  // namespace postern::admin
