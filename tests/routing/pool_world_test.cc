// Pools of 2 to 200 backends through virtual hours: backends fail, flap, are drained and given
// other weights, configurations are reloaded, users come and go. The production router, states,
// seats and affinity decide; a plain model beside them checks what they promise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"
#include "routing/router.h"

namespace postern::routing {
namespace {

constexpr TimeNs kWorldTime = 2 * 3600 * kSecond;

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    const int backends = seed % 5 == 0 ? 200 : Below(2, 30);
    pool_.name = "mail";
    pool_.failover = true;
    constexpr Balance kKinds[] = {Balance::kRendezvous, Balance::kMaglev, Balance::kLeastSessions,
                                  Balance::kRoundRobin};
    pool_.balance = kKinds[random_() % 4];
    if (IsByUser(pool_.balance) && random_() % 2 == 0) pool_.load_bound_percent = 125;
    if (random_() % 2 == 0) pool_.slow_start = 60 * kSecond;
    for (int i = 0; i < backends; ++i) {
      BackendOptions backend;
      backend.name = absl::StrCat("mail", i);
      if (i >= 2 && random_() % 8 == 0) backend.backup = true;
      if (random_() % 3 == 0) backend.limits.sessions_max = Below(3, 40);
      options_.backends.push_back(backend);
      pool_.backends.push_back(i);
      states_.push_back(known_.Get(backend.name));
      states_.back()->SetSlowStart(pool_.slow_start);
    }
    options_.pools = {pool_};
    RouteOptions route;
    route.users = "*";
    route.pool = "mail";
    options_.routes = {route};
    Reload();
  }

  // The first broken promise, or nothing.
  std::string Run() {
    while (now_ < kWorldTime && failure_.empty()) {
      now_ += static_cast<TimeNs>(random_() % (2 * kSecond));
      while (!leaving_.empty() && leaving_.top().first <= now_) {
        Leave(leaving_.top().second);
        leaving_.pop();
      }
      const uint64_t what = random_() % 100;
      if (what < 90) {
        LogIn();
      } else if (what < 95) {
        Trouble(Below(0, static_cast<int>(states_.size()) - 1));
      } else if (what < 99) {
        Mend(Below(0, static_cast<int>(states_.size()) - 1));
      } else {
        Reload();
      }
    }
    while (!leaving_.empty()) {
      Leave(leaving_.top().second);
      leaving_.pop();
    }
    for (const auto& state : states_) {
      if (state->load().seats() != 0) Fail("a seat is left over");
    }
    if (known_.affinity()->size() != 0) Fail("a user is left over");
    return failure_;
  }
  int logins() const { return logins_; }

 private:
  struct Session {
    std::string user;
    int backend;
  };

  int Below(int from, int to) {
    return from + static_cast<int>(random_() % static_cast<uint64_t>(to - from + 1));
  }
  void Fail(const std::string& what) {
    if (failure_.empty()) failure_ = absl::StrCat("at ", now_ / kSecond, " s: ", what);
  }
  void Reload() { router_ = Router::Create(options_).value(); }

  void Trouble(int i) {
    BackendState& state = *states_[static_cast<size_t>(i)];
    switch (random_() % 4) {
      case 0: {
        CheckResult bad;
        bad.reachable = false;
        state.OnCheck(bad, {1, 1}, now_);
        return;
      }
      case 1:
        return state.SetService(Service::kDraining, "sim", "", now_);
      case 2: {
        EjectRules rules;
        rules.failures = 1;
        return state.Eject(rules, "sim", now_);
      }
      default:
        return state.SetWeight(random_() % 3 == 0 ? 0 : Below(1, 300), "sim", "", now_);
    }
  }
  void Mend(int i) {
    BackendState& state = *states_[static_cast<size_t>(i)];
    CheckResult good;
    good.good = true;
    state.OnCheck(good, {1, 1}, now_);
    state.SetService(Service::kEnabled, "sim", "", now_);
    state.SetWeight(BackendWeight::kAsConfigured, "sim", "", now_);
  }

  bool Wanted(int i) const {
    const auto index = static_cast<size_t>(i);
    return states_[index]->weight().Now(options_.backends[index].weight, now_) > 0;
  }
  bool Open(int i) const {
    const auto index = static_cast<size_t>(i);
    return states_[index]->usable(now_) && Wanted(i) &&
           states_[index]->load().HasRoom(options_.backends[index].limits);
  }
  bool AnyUsable(bool backup) const {
    for (size_t i = 0; i < states_.size(); ++i) {
      if (options_.backends[i].backup == backup && states_[i]->usable(now_) &&
          states_[i]->weight().Now(options_.backends[i].weight, now_) > 0) {
        return true;
      }
    }
    return false;
  }
  bool AnyOpen(bool backup) const {
    for (size_t i = 0; i < states_.size(); ++i) {
      if (options_.backends[i].backup == backup && Open(static_cast<int>(i))) return true;
    }
    return false;
  }

  void LogIn() {
    const std::string user = absl::StrCat("user", random_() % 3000);
    const bool open = AnyUsable(false) ? AnyOpen(false) : AnyOpen(true);
    const bool primaries = AnyUsable(false);
    const Decision decision = router_->Route(user, states_, now_);
    for (int i = 0; i < decision.candidate_count; ++i) {
      const int candidate = decision.candidates[static_cast<size_t>(i)];
      if (!decision.panic && !Open(candidate)) Fail("a candidate that is out or full");
      if (!Wanted(candidate)) Fail("a candidate whose weight is 0");
    }
    if (open && decision.candidate_count == 0) Fail("refused while a backend had room");
    if (decision.full && AnyOpen(false)) Fail("told full while a backend had room");
    if (decision.candidate_count > 0 && primaries &&
        options_.backends[static_cast<size_t>(decision.candidates[0])].backup) {
      Fail("a backup while another backend was usable");
    }
    std::shared_ptr<BackendState> wanted;
    if (decision.candidate_count > 0) {
      wanted = states_[static_cast<size_t>(decision.candidates[0])];
    }
    const std::shared_ptr<BackendState> held = known_.affinity()->Join(user, wanted);
    if (held == nullptr) return;
    const auto place = std::find(states_.begin(), states_.end(), held) - states_.begin();
    const int backend = static_cast<int>(place);
    const LoadLimits& limits = options_.backends[static_cast<size_t>(backend)].limits;
    if ((held != wanted && !held->usable_for_live_users(now_)) || !held->load().TryEnter(limits)) {
      known_.affinity()->Leave(user);
      return;
    }
    held->load().OnJoined();
    ++logins_;
    const auto live = live_.find(user);
    if (live != live_.end() && live->second.backend != backend) {
      Fail(absl::StrCat(user, " is at two backends"));
    }
    if (limits.sessions_max > 0 && held->load().seats() > limits.sessions_max) Fail("overbooked");
    Place& here = live_[user];
    here.backend = backend;
    ++here.sessions;
    leaving_.push({now_ + static_cast<TimeNs>(random_() % (600 * kSecond)), user});
  }

  void Leave(const std::string& user) {
    Place& place = live_[user];
    states_[static_cast<size_t>(place.backend)]->load().LeaveSession();
    known_.affinity()->Leave(user);
    if (--place.sessions == 0) live_.erase(user);
  }

  struct Place {
    int backend = -1;
    int sessions = 0;
  };

  std::mt19937_64 random_;
  RouterOptions options_;
  PoolOptions pool_;
  BackendStates known_;
  BackendStateList states_;
  std::unique_ptr<const Router> router_;
  std::map<std::string, Place> live_;
  using Farewell = std::pair<TimeNs, std::string>;
  std::priority_queue<Farewell, std::vector<Farewell>, std::greater<>> leaving_;
  TimeNs now_ = kSecond;
  int logins_ = 0;
  std::string failure_;
};

TEST(PoolWorldTest, PromisesHoldThroughHoursOfTrouble) {
  log::Configure(log::Level::kError);
  const char* more = std::getenv("POSTERN_SIM_SEEDS");
  const uint64_t seeds = more == nullptr ? 30 : std::strtoull(more, nullptr, 10);
  int logins = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    World world(seed);
    ASSERT_EQ(world.Run(), "") << "seed " << seed;
    logins += world.logins();
  }
  EXPECT_GT(logins, static_cast<int>(seeds) * 2000);
  log::Configure(log::Level::kInfo);
}

// Taking one of N away moves its own users and at most 5 % of the others'.
TEST(PoolWorldTest, OneLessDisturbsFew) {
  log::Configure(log::Level::kError);
  for (const Balance balance : {Balance::kRendezvous, Balance::kMaglev}) {
    for (const int backends : {2, 5, 20, 100, 200}) {
      RouterOptions options;
      PoolOptions pool;
      pool.name = "mail";
      pool.failover = true;
      pool.balance = balance;
      BackendStates known;
      BackendStateList states;
      for (int i = 0; i < backends; ++i) {
        BackendOptions backend;
        backend.name = absl::StrCat("mail", i);
        options.backends.push_back(backend);
        pool.backends.push_back(i);
        states.push_back(known.Get(backend.name));
      }
      RouteOptions route;
      route.users = "*";
      route.pool = "mail";
      options.routes = {route};
      options.pools = {pool};
      const auto router = Router::Create(options).value();
      // The configuration without it, and the running one with it drained, and with weight 0.
      RouterOptions less = options;
      less.pools[0].backends.pop_back();
      const auto smaller = Router::Create(less).value();
      constexpr int kUsers = 5000;
      std::vector<int> before;
      for (int user = 0; user < kUsers; ++user) {
        before.push_back(router->Route(absl::StrCat("user", user), states, 1).candidates[0]);
      }
      for (int way = 0; way < 3; ++way) {
        if (way == 1) states.back()->SetService(Service::kDraining, "test", "", 1);
        if (way == 2) {
          states.back()->SetService(Service::kEnabled, "test", "", 1);
          states.back()->SetWeight(0, "test", "", 1);
        }
        int moved = 0;
        for (int user = 0; user < kUsers; ++user) {
          const Router& now = way == 0 ? *smaller : *router;
          const int place = now.Route(absl::StrCat("user", user), states, 1).candidates[0];
          EXPECT_NE(place, backends - 1);
          moved += place != before[static_cast<size_t>(user)] ? 1 : 0;
        }
        // The share of one, as it fell out for these users, and 5 %.
        const double share =
            static_cast<double>(std::count(before.begin(), before.end(), backends - 1)) / kUsers;
        EXPECT_LE(static_cast<double>(moved) / kUsers, share + 0.05)
            << backends << " backends, way " << way;
      }
      states.back()->SetWeight(BackendWeight::kAsConfigured, "test", "", 1);
    }
  }
  log::Configure(log::Level::kInfo);
}

}  // namespace
}  // namespace postern::routing
