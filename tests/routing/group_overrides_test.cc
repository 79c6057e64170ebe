#include "routing/group_overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "routing/backend_state.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

using ::testing::ElementsAre;

UserGroup Domain(const std::string& name) { return {Hold::Kind::kDomain, name}; }
UserGroup Range(const std::string& text) { return {Hold::Kind::kHashRange, text}; }

// The range of nobody but (as good as) this user, or of many around.
UserGroup RangeOf(const std::string& user, size_t digits) {
  const std::string beginning = absl::StrFormat("%016x", StableHash(user)).substr(0, digits);
  return Range(absl::StrCat(beginning, "-", beginning));
}

class GroupOverridesTest : public ::testing::Test {
 protected:
  std::string Of(const std::string& user) const {
    const auto backend = overrides_.Where(user);
    return backend == nullptr ? "" : backend->name();
  }
  std::vector<std::string> List() const {
    std::vector<std::string> texts;
    for (const auto& [group, backend] : groups_.List()) {
      texts.push_back(absl::StrCat(group.Text(), " ", backend->name()));
    }
    return texts;
  }

  const std::shared_ptr<BackendState> one_ = std::make_shared<BackendState>("one");
  const std::shared_ptr<BackendState> two_ = std::make_shared<BackendState>("two");
  Overrides overrides_;
  GroupOverrides& groups_ = overrides_.groups();
};

TEST_F(GroupOverridesTest, WhoBelongsToAGroup) {
  EXPECT_TRUE(Domain("x").Has("a@x"));
  EXPECT_FALSE(Domain("x").Has("a@x.y"));
  EXPECT_FALSE(Domain("x").Has("x"));
  EXPECT_TRUE(Range("0-f").Has("x"));
  EXPECT_TRUE(RangeOf("a@x", 16).Has("a@x"));
  EXPECT_FALSE(RangeOf("a@x", 16).Has("b@x"));
  EXPECT_EQ(Domain("x").Text(), "@x");
  EXPECT_EQ(Range("0-f").Text(), "hash 0-f");
}

TEST_F(GroupOverridesTest, TheUserThenTheDomainThenTheLastRange) {
  EXPECT_EQ(Of("a@x"), "");
  ASSERT_TRUE(groups_.Set(Range("0-f"), one_).ok());
  EXPECT_EQ(Of("a@x"), "one");
  ASSERT_TRUE(groups_.Set(RangeOf("a@x", 6), two_).ok());
  EXPECT_EQ(Of("a@x"), "two");
  EXPECT_EQ(Of("b@x"), "one");
  // Moved once more, it is the last one.
  ASSERT_TRUE(groups_.Set(Range("0-f"), one_).ok());
  EXPECT_EQ(Of("a@x"), "one");
  ASSERT_TRUE(groups_.Set(Domain("x"), two_).ok());
  EXPECT_EQ(Of("a@x"), "two");
  EXPECT_EQ(Of("b@x"), "two");
  EXPECT_EQ(Of("b@y"), "one");
  ASSERT_TRUE(overrides_.Set("a@x", one_).ok());
  EXPECT_EQ(Of("a@x"), "one");
  EXPECT_EQ(groups_.size(), 3u);
  EXPECT_THAT(List(), ElementsAre("@x two", absl::StrCat(RangeOf("a@x", 6).Text(), " two"),
                                  "hash 0-f one"));
  EXPECT_EQ(groups_.Get(Domain("x")), two_);
  EXPECT_EQ(groups_.Get(Range("0-f")), one_);
  EXPECT_EQ(groups_.Get(Range("00-ff")), nullptr);
  EXPECT_EQ(groups_.Get(Domain("y")), nullptr);
  EXPECT_TRUE(groups_.Remove(Domain("x")));
  EXPECT_FALSE(groups_.Remove(Domain("x")));
  EXPECT_TRUE(groups_.Remove(Range("0-f")));
  EXPECT_FALSE(groups_.Remove(Range("0-f")));
  EXPECT_EQ(Of("b@x"), "");
  EXPECT_EQ(groups_.size(), 1u);
}

TEST_F(GroupOverridesTest, WhatWasListedCanBeHadAgain) {
  ASSERT_TRUE(groups_.Set(Range("0-7"), one_).ok());
  ASSERT_TRUE(groups_.Set(Range("0-f"), two_).ok());
  ASSERT_TRUE(groups_.Set(Domain("x"), one_).ok());
  const std::vector<GroupOverrides::Entry> before = groups_.List();
  ASSERT_TRUE(groups_.Set(Range("0-7"), two_).ok());
  ASSERT_TRUE(groups_.Set(Domain("y"), two_).ok());
  ASSERT_TRUE(groups_.Remove(Domain("x")));
  groups_.Restore(before);
  ASSERT_EQ(groups_.size(), before.size());
  const std::vector<GroupOverrides::Entry> after = groups_.List();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].group, before[i].group);
    EXPECT_EQ(after[i].backend, before[i].backend);
  }
  EXPECT_TRUE(groups_.HasDomainOf("a@x"));
  EXPECT_FALSE(groups_.HasDomainOf("a@y"));
}

TEST_F(GroupOverridesTest, GroupsThatMeet) {
  EXPECT_TRUE(Range("0-7").Meets(Range("70-ff")));
  EXPECT_FALSE(Range("0-7").Meets(Range("8-f")));
  EXPECT_TRUE(Domain("x").Meets(Domain("x")));
  EXPECT_FALSE(Domain("x").Meets(Domain("y")));
  EXPECT_FALSE(Domain("x").Meets(Range("0-f")));
}

TEST_F(GroupOverridesTest, NotWithoutEnd) {
  EXPECT_TRUE(absl::IsInvalidArgument(groups_.Set(Range("f-0"), one_)));
  for (size_t i = 0; i < GroupOverrides::kGroupsMax; ++i) {
    ASSERT_TRUE(groups_.Set(Domain(absl::StrCat(i)), one_).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(groups_.Set(Domain("x"), one_)));
  EXPECT_TRUE(absl::IsResourceExhausted(groups_.Set(Range("0-f"), one_)));
  // One that is there takes no more room.
  EXPECT_TRUE(groups_.Set(Domain("7"), two_).ok());
  EXPECT_EQ(Of("a@7"), "two");
  EXPECT_EQ(groups_.size(), GroupOverrides::kGroupsMax);
}

}  // namespace
}  // namespace postern::routing
