#include "proxy/router_loader.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/tls/test_certificates.h"

namespace postern {
namespace {

constexpr size_t kMillion = 1000000;

TEST(MapProgressLinesTest, OneLineEachSecond) {
  MapProgressLines lines(5 * kSecond);
  EXPECT_EQ(lines.Next(5 * kSecond + 999 * kMillisecond, "users.map", kMillion, 9 * kMillion), "");
  EXPECT_EQ(lines.Next(6 * kSecond, "users.map", 3 * kMillion, 9 * kMillion),
            "map users.map: 33 % of 9 MB read");
  EXPECT_EQ(lines.Next(6 * kSecond + kMillisecond, "users.map", 4 * kMillion, 9 * kMillion), "");
  EXPECT_EQ(lines.Next(9 * kSecond, "other.map", 9 * kMillion, 9 * kMillion),
            "map other.map: 100 % of 9 MB read");
  EXPECT_EQ(lines.Next(11 * kSecond, "empty.map", 0, 0), "");
}

class LoadRouterTest : public ::testing::Test {
 protected:
  routing::RouterOptions OptionsFor(size_t users) {
    std::string text;
    for (size_t i = 0; i < users; ++i) absl::StrAppend(&text, "user", i, "@example.org\tmail1\n");
    routing::RouterOptions options;
    options.backends.push_back({"mail1", 100});
    options.routes.push_back({});
    options.routes.back().map_file = directory_.Write("users.map", text);
    return options;
  }
  tls::testing::TestDirectory directory_;
};

TEST_F(LoadRouterTest, MistakesComeThrough) {
  routing::RouterOptions options = OptionsFor(1);
  options.backends[0].name = "mail2";
  const auto router = LoadRouter(options);
  ASSERT_FALSE(router.ok());
  EXPECT_NE(router.status().message().find("users.map:1:19"), absl::string_view::npos)
      << router.status();
}

// Small ones are deleted at once, large ones by a thread of their own; both go when the last owner
// does, not before.
TEST_F(LoadRouterTest, RoutersOfAnySizeCanBeLetGo) {
  for (const size_t users : {size_t{10}, size_t{500000}}) {
    auto router = LoadRouter(OptionsFor(users));
    ASSERT_TRUE(router.ok()) << router.status();
    std::shared_ptr<const routing::Router> session = *router;
    router->reset();
    EXPECT_EQ(session->mapped_users(), users);
    EXPECT_TRUE(session->Route("user7@example.org").known);
    session.reset();
  }
}

}  // namespace
}  // namespace postern
