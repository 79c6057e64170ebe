#include "routing/recent_homes.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "routing/backend_state.h"

namespace postern::routing {
namespace {

class RecentHomesTest : public ::testing::Test {
 protected:
  const std::shared_ptr<BackendState> one_ = std::make_shared<BackendState>("one");
  const std::shared_ptr<BackendState> two_ = std::make_shared<BackendState>("two");
};

TEST_F(RecentHomesTest, ForAWhile) {
  RecentHomes homes;
  EXPECT_EQ(homes.Find("a", 1), nullptr);
  homes.Remember("a", one_, 100, 50);
  EXPECT_EQ(homes.Find("a", 149), one_);
  EXPECT_EQ(homes.Find("a", 150), nullptr);
  homes.Remember("a", two_, 120, 50);
  EXPECT_EQ(homes.Find("a", 169), two_);
  EXPECT_EQ(homes.Find("b", 121), nullptr);
  EXPECT_EQ(homes.size(), 1u);
  homes.Forget("a");
  homes.Forget("b");
  EXPECT_EQ(homes.Find("a", 121), nullptr);
  EXPECT_EQ(homes.size(), 0u);
}

TEST_F(RecentHomesTest, WhoseTimeIsOverIsLetGo) {
  RecentHomes homes;
  for (int i = 0; i < 10000; ++i) homes.Remember(absl::StrCat(i), one_, i, 1);
  EXPECT_LT(homes.size(), 200u) << "one of each part may be left, until somebody comes there";
  EXPECT_EQ(homes.evicted(), 0u);
}

TEST_F(RecentHomesTest, TheOldestMakeRoom) {
  RecentHomes homes(64 * 4);
  for (int i = 0; i < 10000; ++i) homes.Remember(absl::StrCat(i), one_, i, 1 << 30);
  EXPECT_LE(homes.size(), 64u * 4u);
  EXPECT_EQ(homes.evicted() + homes.size(), 10000u);
  EXPECT_EQ(homes.Find("9999", 10000), one_);
  EXPECT_EQ(homes.Find("0", 10000), nullptr);
  // One user for ever takes no more than one place.
  for (int i = 0; i < 10000; ++i) homes.Remember("x", two_, 10000 + i, 1 << 30);
  EXPECT_EQ(homes.Find("x", 20000), two_);
  EXPECT_LE(homes.size(), 64u * 4u);
}

TEST_F(RecentHomesTest, ManyAtOnceAreForgotten) {
  RecentHomes homes;
  for (int i = 0; i < 100; ++i)
    homes.Remember(absl::StrCat("u@", i % 2 == 0 ? "x" : "y", i), one_, 1, 9);
  homes.ForgetIf([](absl::string_view user) { return user.substr(2, 1) == "x"; });
  EXPECT_EQ(homes.size(), 50u);
  EXPECT_EQ(homes.Find("u@x0", 2), nullptr);
  EXPECT_EQ(homes.Find("u@y1", 2), one_);
}

}  // namespace
}  // namespace postern::routing
