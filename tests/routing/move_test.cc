// Holds, overrides and affinity together: the recipe of a move, under ten thousand users who log in
// all the time while backends come and go. For the thread sanitizer, too.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/affinity.h"
#include "routing/backend_state.h"
#include "routing/holds.h"
#include "routing/overrides.h"

namespace postern::routing {
namespace {

constexpr size_t kUsers = 10000;
constexpr size_t kBackends = 3;
constexpr size_t kThreads = 4;
constexpr int kLoginsEach = 60000;

class World {
 public:
  World() : there_(kUsers) {
    for (size_t i = 0; i < kBackends; ++i) {
      backends_.push_back(states_.Get(absl::StrCat(i)));
      usable_[i].store(true);
    }
  }

  // What a worker does, in the order in which a session does it.
  void LogIn(unsigned seed) {
    const size_t thread = seed;
    std::minstd_rand random(seed + 1);
    std::vector<std::string> live;
    std::vector<size_t> at;
    for (int i = 0; i < kLoginsEach; ++i) {
      ++turns_[thread];
      const size_t number = random() % kUsers;
      const std::string user = Name(number);
      std::shared_ptr<BackendState> wanted = states_.overrides()->Find(user);
      if (wanted == nullptr) {
        size_t choice = number % kBackends;
        // The hash says one thing, health another.
        while (!usable_[choice].load()) choice = (choice + 1) % kBackends;
        wanted = backends_[choice];
      }
      if (!states_.holds()->Covers(user)) {
        const size_t backend = IndexOf(states_.affinity()->Join(user, wanted));
        Enter(number, backend);
        live.push_back(user);
        at.push_back(backend);
      }
      // Sessions last for some time, so that users have several and moves have to wait.
      if (live.size() < 50 && i + 100 < kLoginsEach) continue;
      const size_t last = random() % live.size();
      --there_[NumberOf(live[last])][at[last]];
      states_.affinity()->Leave(live[last]);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(last));
      at.erase(at.begin() + static_cast<std::ptrdiff_t>(last));
    }
    for (size_t k = 0; k < live.size(); ++k) {
      --there_[NumberOf(live[k])][at[k]];
      states_.affinity()->Leave(live[k]);
    }
    finished_[thread].store(true);
  }

  // What the mover does.
  void Move() {
    std::minstd_rand random(99);
    while (!AllFinished()) {
      const size_t number = random() % kUsers;
      const std::string user = Name(number);
      states_.holds()->AddForMove(user);
      Barrier();
      bool gone = false;
      for (int i = 0; i < 1000 && !gone; ++i) {
        gone = states_.affinity()->Look(user).live == 0;
        if (!gone) std::this_thread::yield();
      }
      if (gone) {
        EXPECT_TRUE(states_.overrides()->Set(user, backends_[random() % kBackends]).ok());
        ++moved_;
      }
      states_.holds()->RemoveForMove(user);
    }
  }

  void Flap() {
    std::minstd_rand random(7);
    while (!AllFinished()) {
      // One of them is always there.
      usable_[1 + random() % (kBackends - 1)].store(random() % 2 == 0);
      std::this_thread::yield();
    }
  }

  int overlaps() const { return overlaps_.load(); }
  int moved() const { return moved_.load(); }
  BackendStates& states() { return states_; }

 private:
  static std::string Name(size_t number) { return absl::StrCat("user", number, "@example.org"); }
  static size_t NumberOf(const std::string& user) {
    return static_cast<size_t>(std::stoul(user.substr(4)));
  }
  static size_t IndexOf(const std::shared_ptr<BackendState>& backend) {
    return static_cast<size_t>(backend->name()[0] - '0');
  }
  void Enter(size_t number, size_t backend) {
    ++there_[number][backend];
    for (size_t other = 0; other < kBackends; ++other) {
      if (other != backend && there_[number][other].load() != 0) ++overlaps_;
    }
  }
  bool AllFinished() const {
    for (const std::atomic<bool>& finished : finished_) {
      if (!finished.load()) return false;
    }
    return true;
  }
  // Until each thread has begun another turn.
  void Barrier() const {
    for (size_t i = 0; i < kThreads; ++i) {
      const uint64_t turn = turns_[i].load();
      while (turns_[i].load() == turn && !finished_[i].load()) std::this_thread::yield();
    }
  }

  BackendStates states_;
  std::vector<std::shared_ptr<BackendState>> backends_;
  std::array<std::atomic<bool>, kBackends> usable_{};
  std::vector<std::array<std::atomic<int>, kBackends>> there_;
  std::array<std::atomic<uint64_t>, kThreads> turns_{};
  std::array<std::atomic<bool>, kThreads> finished_{};
  std::atomic<int> overlaps_{0};
  std::atomic<int> moved_{0};
};

TEST(MoveTest, NeverTwoBackendsAtOnce) {
  World world;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&world, i] { world.LogIn(i); });
  }
  threads.emplace_back([&world] { world.Move(); });
  threads.emplace_back([&world] { world.Flap(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(world.overlaps(), 0);
  EXPECT_GT(world.moved(), 0);
  EXPECT_EQ(world.states().affinity()->size(), 0u);
  EXPECT_EQ(world.states().holds()->size(), 0u);
}

}  // namespace
}  // namespace postern::routing
