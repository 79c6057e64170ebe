#include "routing/user_map.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

// 22 bytes, like the average address.
std::string UserName(size_t i) { return absl::StrFormat("user%06d@example.org", i); }

TEST(UserMapTest, Empty) {
  UserMap map;
  map.Finish();
  EXPECT_EQ(map.size(), 0u);
  EXPECT_FALSE(map.Find("alice").has_value());
  EXPECT_FALSE(map.Find("").has_value());
}

TEST(UserMapTest, FirstTargetStays) {
  UserMap map;
  EXPECT_EQ(map.Add("alice", 3), UserMap::Added::kNew);
  EXPECT_EQ(map.Add("alice", 3), UserMap::Added::kAgain);
  EXPECT_EQ(map.Add("alice", 4), UserMap::Added::kConflict);
  map.Finish();
  EXPECT_EQ(map.size(), 1u);
  ASSERT_TRUE(map.Find("alice").has_value());
  EXPECT_EQ(map.Find("alice")->target, 3u);
  EXPECT_FALSE(map.Find("alic").has_value());
  EXPECT_FALSE(map.Find("alicee").has_value());
  EXPECT_FALSE(map.Find("Alice").has_value());
}

TEST(UserMapTest, ExactWinsOverDomain) {
  UserMap map;
  map.Add("alice@example.org", 1);
  map.Add("*@example.org", 2);
  map.Finish();
  EXPECT_EQ(map.Find("alice@example.org")->target, 1u);
  EXPECT_FALSE(map.Find("alice@example.org")->by_domain);
  EXPECT_EQ(map.Find("bob@example.org")->target, 2u);
  EXPECT_TRUE(map.Find("bob@example.org")->by_domain);
  EXPECT_EQ(map.Find("bob@odd@example.org")->target, 2u);
  EXPECT_FALSE(map.Find("bob@example.com").has_value());
  EXPECT_FALSE(map.Find("bob").has_value());
  // No name is too long to be asked for.
  EXPECT_FALSE(map.Find("bob@" + std::string(1000, 'x')).has_value());
}

TEST(UserMapTest, LongestAndOddNames) {
  UserMap map;
  const std::string longest(kUserBytesMax, 'x');
  map.Add(longest, 1);
  map.Add("j\xf6rg", UINT32_MAX - 1);
  map.Finish();
  EXPECT_EQ(map.Find(longest)->target, 1u);
  EXPECT_EQ(map.Find("j\xf6rg")->target, UINT32_MAX - 1);
}

// Enough users for a hundred rehashes of neighbours and many chunks.
TEST(UserMapTest, ManyUsersAreCompactAndAllFound) {
  constexpr size_t kUsers = 200000;
  for (const size_t expected : {size_t{0}, kUsers, 4 * kUsers}) {
    UserMap map(expected);
    for (size_t i = 0; i < kUsers; ++i) {
      ASSERT_EQ(map.Add(UserName(i), static_cast<uint32_t>(i % 7)), UserMap::Added::kNew);
    }
    map.Finish();
    EXPECT_EQ(map.size(), kUsers);
    size_t wrong = 0;
    for (size_t i = 0; i < kUsers; ++i) {
      const auto hit = map.Find(UserName(i));
      if (!hit.has_value() || hit->target != i % 7) ++wrong;
      if (map.Find(UserName(i + kUsers)).has_value()) ++wrong;
    }
    EXPECT_EQ(wrong, 0u);
    EXPECT_LE(map.memory_bytes(), kUsers * 44) << "expected " << expected;
    EXPECT_GE(map.memory_bytes(), kUsers * (22 + 8)) << "expected " << expected;
  }
}

}  // namespace
}  // namespace postern::routing
