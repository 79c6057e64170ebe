#include "routing/holds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_format.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

using ::testing::HasSubstr;

Hold HoldOf(Hold::Kind kind, const std::string& target) {
  Hold hold;
  hold.kind = kind;
  hold.target = target;
  hold.who = "me";
  return hold;
}

TEST(HoldsTest, RangesAreBeginnings) {
  const auto all = ParseHashRange("0-f");
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->first, 0u);
  EXPECT_EQ(all->last, ~uint64_t{0});
  const auto half = ParseHashRange("00-7F");
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(half->first, 0u);
  EXPECT_EQ(half->last, 0x7fffffffffffffffu);
  const auto one = ParseHashRange("0123456789abcdef-0123456789abcdef");
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->first, 0x0123456789abcdefu);
  EXPECT_EQ(one->first, one->last);
  for (const char* wrong : {"", "-", "0", "0-", "-f", "7-0", "00-f", "g-h", "0-f-f", " 0-f",
                            "00000000000000000-fffffffffffffffff", "0-\n"}) {
    EXPECT_THAT(std::string(ParseHashRange(wrong).status().message()),
                HasSubstr("no range of hashes"))
        << wrong;
  }
}

TEST(HoldsTest, ARangeHasOneText) {
  const auto text = [](const char* written) { return ParseHashRange(written).value().Text(); };
  for (const char* written :
       {"0-7", "00-7F", "00-7f", "0000-7fff", "0000000000000000-7FFFFFFFFFFFFFFF"}) {
    EXPECT_EQ(text(written), "0-7") << written;
  }
  EXPECT_EQ(text("0000000000000000-ffffffffffffffff"), "0-f");
  EXPECT_EQ(text("00-70"), "00-70");
  EXPECT_EQ(text("08-7f"), "08-7f");
  EXPECT_EQ(text("0A00-0aff"), "0a-0a");
  EXPECT_EQ(text("0123456789abcdef-0123456789abcdef"), "0123456789abcdef-0123456789abcdef");
}

TEST(HoldsTest, RangesMeet) {
  const auto meet = [](const char* one, const char* other) {
    const HashRange a = ParseHashRange(one).value();
    const HashRange b = ParseHashRange(other).value();
    EXPECT_EQ(a.Meets(b), b.Meets(a));
    return a.Meets(b);
  };
  EXPECT_TRUE(meet("0-7", "7-f"));
  EXPECT_TRUE(meet("0-f", "77-77"));
  EXPECT_FALSE(meet("0-7", "8-f"));
}

TEST(HoldsTest, UsersDomainsAndRanges) {
  Holds holds;
  EXPECT_FALSE(holds.Covers("a@one"));
  ASSERT_TRUE(holds.Add(HoldOf(Hold::Kind::kUser, "a@one")).ok());
  EXPECT_TRUE(holds.Covers("a@one"));
  EXPECT_FALSE(holds.Covers("b@one"));
  ASSERT_TRUE(holds.Add(HoldOf(Hold::Kind::kDomain, "two")).ok());
  EXPECT_TRUE(holds.Covers("a@two"));
  EXPECT_FALSE(holds.Covers("two"));
  EXPECT_FALSE(holds.Covers("a@two.three"));
  const std::string beginning = absl::StrFormat("%016x", StableHash("b@one")).substr(0, 6);
  const std::string range = beginning + "-" + beginning;
  ASSERT_TRUE(holds.Add(HoldOf(Hold::Kind::kHashRange, range)).ok());
  EXPECT_TRUE(holds.Covers("b@one"));
  EXPECT_FALSE(holds.Covers("c@one"));
  EXPECT_FALSE(holds.Add(HoldOf(Hold::Kind::kHashRange, "7-0")).ok());

  EXPECT_EQ(holds.size(), 3u);
  ASSERT_EQ(holds.List().size(), 3u);
  EXPECT_EQ(holds.List()[0].target, "a@one");
  EXPECT_EQ(holds.List()[1].target, "two");
  EXPECT_EQ(holds.List()[2].target, range);

  Hold again = HoldOf(Hold::Kind::kUser, "a@one");
  again.who = "you";
  ASSERT_TRUE(holds.Add(again).ok());
  ASSERT_TRUE(holds.Add(HoldOf(Hold::Kind::kHashRange, range)).ok());
  EXPECT_EQ(holds.size(), 3u) << "replaced";
  EXPECT_EQ(holds.List()[0].who, "you");

  EXPECT_FALSE(holds.Remove(Hold::Kind::kUser, "two"));
  EXPECT_FALSE(holds.Remove(Hold::Kind::kDomain, "one"));
  EXPECT_FALSE(holds.Remove(Hold::Kind::kHashRange, "0-f"));
  EXPECT_TRUE(holds.Remove(Hold::Kind::kUser, "a@one"));
  EXPECT_TRUE(holds.Remove(Hold::Kind::kDomain, "two"));
  EXPECT_TRUE(holds.Remove(Hold::Kind::kHashRange, range));
  EXPECT_FALSE(holds.Covers("a@one"));
  EXPECT_FALSE(holds.Covers("a@two"));
  EXPECT_FALSE(holds.Covers("b@one"));
  EXPECT_EQ(holds.size(), 0u);
}

TEST(HoldsTest, AMoveAndAnOperatorHoldForThemselves) {
  Holds holds;
  holds.AddForMove("a");
  EXPECT_TRUE(holds.Covers("a"));
  EXPECT_TRUE(holds.List().empty()) << "nobody's to release";
  ASSERT_TRUE(holds.Add(HoldOf(Hold::Kind::kUser, "a")).ok());
  holds.AddForMove("a");
  holds.RemoveForMove("a");
  EXPECT_TRUE(holds.Remove(Hold::Kind::kUser, "a"));
  EXPECT_TRUE(holds.Covers("a"));
  holds.RemoveForMove("a");
  EXPECT_FALSE(holds.Covers("a"));
}

TEST(HoldsTest, AMoveOfManyHoldsThemAll) {
  Holds holds;
  holds.AddForMove(Hold::Kind::kDomain, "x");
  holds.AddForMove(Hold::Kind::kDomain, "x");
  EXPECT_TRUE(holds.Covers("a@x"));
  EXPECT_FALSE(holds.Covers("a@y"));
  EXPECT_TRUE(holds.List().empty()) << "nobody's to release";
  holds.RemoveForMove(Hold::Kind::kDomain, "x");
  EXPECT_TRUE(holds.Covers("a@x"));
  holds.RemoveForMove(Hold::Kind::kDomain, "x");
  EXPECT_FALSE(holds.Covers("a@x"));
  holds.AddForMove(Hold::Kind::kHashRange, "0-f");
  holds.AddForMove(Hold::Kind::kHashRange, "0-f");
  holds.RemoveForMove(Hold::Kind::kHashRange, "0-f");
  EXPECT_TRUE(holds.Covers("a@y"));
  holds.RemoveForMove(Hold::Kind::kHashRange, "0-f");
  EXPECT_FALSE(holds.Covers("a@y"));
  holds.AddForMove(Hold::Kind::kUser, "a");
  EXPECT_TRUE(holds.Covers("a"));
  holds.RemoveForMove(Hold::Kind::kUser, "a");
  EXPECT_EQ(holds.size(), 0u);
}

TEST(HoldsTest, WaitsAreCounted) {
  Holds holds;
  EXPECT_TRUE(holds.EnterWait(2));
  EXPECT_TRUE(holds.EnterWait(2));
  EXPECT_FALSE(holds.EnterWait(2));
  EXPECT_EQ(holds.waiting(), 2);
  holds.LeaveWait();
  EXPECT_TRUE(holds.EnterWait(2));
  EXPECT_FALSE(holds.EnterWait(0));
}

}  // namespace
}  // namespace postern::routing
