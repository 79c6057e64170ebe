#include "routing/overrides.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/backend_state.h"

namespace postern::routing {
namespace {

std::string WhereIs(const Overrides& overrides, absl::string_view user) {
  const Overrides::Backend backend = overrides.Find(user);
  return backend == nullptr ? "" : backend->name();
}

TEST(OverridesTest, SetFindAndRemove) {
  Overrides overrides;
  const auto a = std::make_shared<BackendState>("a");
  const auto b = std::make_shared<BackendState>("b");
  EXPECT_EQ(WhereIs(overrides, "u"), "");
  EXPECT_FALSE(overrides.Remove("u"));
  ASSERT_TRUE(overrides.Set("u", a).ok());
  ASSERT_TRUE(overrides.Set("v", b).ok());
  EXPECT_EQ(WhereIs(overrides, "u"), "a");
  EXPECT_EQ(WhereIs(overrides, "v"), "b");
  EXPECT_EQ(WhereIs(overrides, "w"), "");
  EXPECT_EQ(overrides.size(), 2u);
  ASSERT_TRUE(overrides.Set("u", b).ok());
  EXPECT_EQ(WhereIs(overrides, "u"), "b");
  EXPECT_EQ(overrides.size(), 2u);
  EXPECT_TRUE(overrides.Remove("u"));
  EXPECT_FALSE(overrides.Remove("u"));
  EXPECT_EQ(WhereIs(overrides, "u"), "");
  EXPECT_EQ(overrides.size(), 1u);
}

// Against a plain map, through many compactions.
TEST(OverridesTest, AgreesWithAPlainMap) {
  Overrides overrides;
  std::vector<std::shared_ptr<BackendState>> backends;
  for (int i = 0; i < 5; ++i) backends.push_back(std::make_shared<BackendState>(absl::StrCat(i)));
  std::map<std::string, std::string> expected;
  std::minstd_rand random(1);
  for (int i = 0; i < 200000; ++i) {
    const std::string user = absl::StrCat("somebody", random() % 3000, "@example.org");
    if (random() % 2 == 0) {
      const auto& backend = backends[random() % backends.size()];
      ASSERT_TRUE(overrides.Set(user, backend).ok());
      expected[user] = backend->name();
    } else {
      EXPECT_EQ(overrides.Remove(user), expected.erase(user) == 1);
    }
  }
  EXPECT_EQ(overrides.size(), expected.size());
  std::map<std::string, std::string> found;
  overrides.ForEach([&](absl::string_view user, const Overrides::Backend& backend) {
    EXPECT_TRUE(found.emplace(std::string(user), backend->name()).second) << user << " twice";
    return true;
  });
  EXPECT_EQ(found, expected);
  for (int i = 0; i < 3000; ++i) {
    const std::string user = absl::StrCat("somebody", i, "@example.org");
    const auto place = expected.find(user);
    EXPECT_EQ(WhereIs(overrides, user), place == expected.end() ? "" : place->second);
  }
  size_t visited = 0;
  overrides.ForEach([&](absl::string_view, const Overrides::Backend&) { return ++visited < 3; });
  EXPECT_EQ(visited, 3u) << "until it returns false";
}

TEST(OverridesTest, IsCompact) {
  Overrides overrides;
  const auto backend = std::make_shared<BackendState>("a");
  constexpr size_t kUsers = 100000;
  size_t names = 0;
  for (size_t i = 0; i < kUsers; ++i) {
    const std::string user = absl::StrCat("user", i, "@example.org");
    names += user.size();
    ASSERT_TRUE(overrides.Set(user, backend).ok());
  }
  // Arenas grow by doubling, the table is between seven and fourteen sixteenths full.
  EXPECT_LT(overrides.memory_bytes(), 2 * names + 32 * kUsers);
}

// For the thread sanitizer.
TEST(OverridesTest, ManyThreads) {
  Overrides overrides;
  const auto a = std::make_shared<BackendState>("a");
  const auto b = std::make_shared<BackendState>("b");
  std::atomic<int> strangers{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::minstd_rand random(seed);
      for (int i = 0; i < 20000; ++i) {
        const std::string user = absl::StrCat("user", random() % 500);
        switch (random() % 4) {
          case 0:
            EXPECT_TRUE(overrides.Set(user, random() % 2 == 0 ? a : b).ok());
            break;
          case 1:
            overrides.Remove(user);
            break;
          default: {
            const Overrides::Backend found = overrides.Find(user);
            if (found != nullptr && found != a && found != b) ++strangers;
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(strangers.load(), 0);
}

}  // namespace
}  // namespace postern::routing
