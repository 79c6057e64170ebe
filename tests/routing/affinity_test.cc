#include "routing/affinity.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/backend_state.h"

namespace postern::routing {
namespace {

TEST(AffinityTest, StaysWhereItIs) {
  Affinity affinity;
  const auto a = std::make_shared<BackendState>("a");
  const auto b = std::make_shared<BackendState>("b");
  EXPECT_EQ(affinity.Join("u", nullptr), nullptr);
  EXPECT_EQ(affinity.size(), 0u);
  EXPECT_EQ(affinity.Join("u", a), a);
  EXPECT_EQ(affinity.Join("u", b), a);
  EXPECT_EQ(affinity.Join("u", nullptr), a);
  EXPECT_EQ(affinity.Join("v", b), b);
  EXPECT_EQ(affinity.size(), 2u);
  EXPECT_FALSE(affinity.Move("u", b)) << "two others are there";
  affinity.Leave("u");
  affinity.Leave("u");
  EXPECT_TRUE(affinity.Move("u", b));
  EXPECT_EQ(affinity.Join("u", a), b);
  affinity.Leave("u");
  affinity.Leave("u");
  EXPECT_EQ(affinity.Join("u", a), a);
  affinity.Leave("u");
  affinity.Leave("v");
  EXPECT_EQ(affinity.size(), 0u);
}

TEST(AffinityTest, WhoHasEnteredIsCountedAndBindsNobody) {
  Affinity affinity;
  const auto a = std::make_shared<BackendState>("a");
  const auto b = std::make_shared<BackendState>("b");
  affinity.Enter("u");
  EXPECT_EQ(affinity.Look("u").live, 1u);
  EXPECT_EQ(affinity.Look("u").entered, 1u);
  EXPECT_EQ(affinity.Look("u").backend, nullptr);
  EXPECT_EQ(affinity.Join("u", nullptr), nullptr) << "nothing is joined";
  EXPECT_EQ(affinity.Join("u", a), a);
  EXPECT_EQ(affinity.Look("u").live, 2u);
  EXPECT_EQ(affinity.Look("u").backend, a);
  EXPECT_FALSE(affinity.Move("u", b)) << "somebody else is there";
  affinity.Enter("u");
  affinity.Leave("u");
  EXPECT_EQ(affinity.Look("u").live, 2u);
  EXPECT_EQ(affinity.Look("u").backend, nullptr);
  EXPECT_EQ(affinity.Join("u", b), b);
  affinity.Exit("u");
  affinity.Exit("u");
  EXPECT_EQ(affinity.Look("u").live, 1u);
  EXPECT_TRUE(affinity.Move("u", a));
  affinity.Leave("u");
  EXPECT_EQ(affinity.Look("u").live, 0u);
  affinity.Enter("u");
  affinity.Exit("u");
  EXPECT_EQ(affinity.size(), 0u);
}

// Exact with many threads: whoever has joined finds nobody at another backend. For the thread
// sanitizer, too.
TEST(AffinityTest, EverybodyIsVisited) {
  Affinity affinity;
  const auto backend = std::make_shared<BackendState>("mail1");
  for (int i = 0; i < 200; ++i) affinity.Join(absl::StrCat("user", i), backend);
  affinity.Join("user7", backend);
  affinity.Enter("user7");
  affinity.Enter("nowhere");
  size_t users = 0;
  uint32_t live = 0;
  affinity.ForEach([&](absl::string_view user, const Affinity::Whereabouts& at) {
    ++users;
    live += at.live;
    EXPECT_EQ(at.entered, user == "user7" || user == "nowhere" ? 1u : 0u);
    EXPECT_EQ(at.backend, user == "nowhere" ? nullptr : backend);
  });
  EXPECT_EQ(users, 201u);
  EXPECT_EQ(live, 203u);
}

TEST(AffinityTest, NeverTwoBackendsAtOnce) {
  constexpr int kUsers = 3;
  constexpr int kBackends = 3;
  Affinity affinity;
  std::vector<std::shared_ptr<BackendState>> backends;
  for (int i = 0; i < kBackends; ++i) {
    backends.push_back(std::make_shared<BackendState>(absl::StrCat(i)));
  }
  std::array<std::array<std::atomic<int>, kBackends>, kUsers> there{};
  std::atomic<int> overlaps{0};
  std::atomic<int> moves{0};
  const auto index_of = [](const std::shared_ptr<BackendState>& backend) {
    return static_cast<size_t>(backend->name()[0] - '0');
  };
  const auto enter = [&](size_t user, size_t backend) {
    ++there[user][backend];
    for (size_t other = 0; other < kBackends; ++other) {
      if (other != backend && there[user][other].load() != 0) ++overlaps;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::minstd_rand random(seed);
      for (int i = 0; i < 5000; ++i) {
        const size_t user = random() % kUsers;
        const std::string name = absl::StrCat("user", user);
        size_t backend = index_of(affinity.Join(name, backends[random() % kBackends]));
        enter(user, backend);
        // A failed attempt: the connection is closed, then the next candidate is tried.
        --there[user][backend];
        const size_t next = random() % kBackends;
        if (affinity.Move(name, backends[next])) {
          backend = next;
          ++moves;
        }
        enter(user, backend);
        if (random() % 4 == 0) std::this_thread::yield();
        --there[user][backend];
        affinity.Leave(name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(overlaps.load(), 0);
  EXPECT_GT(moves.load(), 0);
  EXPECT_EQ(affinity.size(), 0u);
}

}  // namespace
}  // namespace postern::routing
