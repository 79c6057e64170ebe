#include "proxy/guard/guard.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/guard/address_lists.h"

namespace postern::guard {
namespace {

constexpr DurationNs kMinute = 60 * kSecond;
constexpr HashKey kKey{1, 2};

SocketAddress Ip(const std::string& text) { return SocketAddress::FromIp(text, 4711).value(); }

class GuardTest : public ::testing::Test {
 protected:
  GuardTest() : guard_(kKey, 1000) {
    options_.entries = 4096;
    options_.exempt.push_back(IpNetwork::Parse("10.0.0.0/8").value());
  }

  std::unique_ptr<Visit> Enter(const std::string& ip, GuardRefusal* refusal) {
    auto visit = std::make_unique<Visit>(&guard_);
    *refusal = guard_.TakePlace(options_, Ip(ip), visit.get());
    return visit;
  }

  // One login from its beginning to its end; what it was refused by.
  GuardRefusal LogIn(const std::string& ip, const std::string& user, bool good) {
    Visit visit(&guard_);
    return LogIn(&visit, ip, user, good);
  }
  GuardRefusal LogIn(Visit* visit, const std::string& ip, const std::string& user, bool good) {
    GuardRefusal refusal = guard_.BeginLogin(options_, Ip(ip), user, now_, visit);
    delay_ = visit->delay();
    if (refusal != GuardRefusal::kNone) return refusal;
    refusal = guard_.MayLogIn(options_, options_.login_delay, now_, *visit);
    early_ = refusal != GuardRefusal::kNone;
    if (good && !early_) refusal = guard_.Accept(options_, options_.login_delay, now_, visit);
    guard_.EndLogin(options_, /*wrong=*/!good, now_, visit);
    return refusal;
  }
  int FailUntilRefused(const std::string& ip, const std::string& user, GuardRefusal why) {
    for (int i = 0; i < 1000; ++i) {
      const GuardRefusal refusal = LogIn(ip, user, false);
      if (refusal == GuardRefusal::kNone) continue;
      EXPECT_EQ(refusal, why);
      return i;
    }
    return -1;
  }
  void Prepare() { ASSERT_TRUE(guard_.Prepare(options_).ok()); }

  Guard guard_;
  Options options_;
  TimeNs now_ = 1000 * kSecond;
  DurationNs delay_ = 0;  // of the last login
  bool early_ = false;    // the last login was refused before a backend would have been asked
};

TEST_F(GuardTest, NothingIsMadeAndNothingRefusedByDefault) {
  EXPECT_FALSE(options_.any());
  Prepare();
  EXPECT_TRUE(guard_.Report().empty());
  Visit visit(&guard_);
  EXPECT_EQ(guard_.LetIn(options_, nullptr, Ip("192.0.2.1"), "pop3s", now_), GuardRefusal::kNone);
  EXPECT_EQ(guard_.TakePlace(options_, Ip("192.0.2.1"), &visit), GuardRefusal::kNone);
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone);
}

TEST_F(GuardTest, SessionsOfAddressAndNetwork) {
  options_.sessions.ip = 2;
  options_.sessions.prefix = 3;
  Prepare();
  GuardRefusal refusal;
  auto first = Enter("192.0.2.1", &refusal);
  const auto second = Enter("192.0.2.1", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kNone);
  EXPECT_FALSE(Enter("192.0.2.1", &refusal)->has_place());
  EXPECT_EQ(refusal, GuardRefusal::kSessionsIp);
  const auto third = Enter("192.0.2.2", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kNone);
  Enter("192.0.2.3", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kSessionsPrefix);
  Enter("192.0.3.3", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kNone) << "the next network";
  // Refused by the network, the address has not been charged either.
  first.reset();
  const auto fourth = Enter("192.0.2.3", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kNone);
  Enter("192.0.2.3", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kSessionsPrefix);
}

TEST_F(GuardTest, WhoNeedsNoPlaceHasOne) {
  options_.sessions.ip = 1;
  Prepare();
  GuardRefusal refusal;
  EXPECT_TRUE(Enter("10.0.0.1", &refusal)->has_place()) << "exempt";
  options_.sessions.ip = 0;
  EXPECT_TRUE(Enter("192.0.2.1", &refusal)->has_place()) << "no limit";
  EXPECT_EQ(guard_.Report()[0].used, 0u);
}

TEST_F(GuardTest, NetworksOfSixtyFourBitsAndExemptOnes) {
  options_.sessions.prefix = 1;
  Prepare();
  GuardRefusal refusal;
  const auto first = Enter("2001:db8::1", &refusal);
  Enter("2001:db8::ffff:1", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kSessionsPrefix);
  const auto other = Enter("2001:db8:0:1::1", &refusal);
  EXPECT_EQ(refusal, GuardRefusal::kNone);
  std::vector<std::unique_ptr<Visit>> many;
  for (int i = 0; i < 5; ++i) {
    many.push_back(Enter("10.1.2.3", &refusal));
    EXPECT_EQ(refusal, GuardRefusal::kNone);
  }
}

TEST_F(GuardTest, SessionsOfAUserAreCountedOnceTheyAreLoggedIn) {
  options_.sessions.user = 2;
  Prepare();
  Visit one(&guard_), two(&guard_), three(&guard_);
  EXPECT_EQ(LogIn(&one, "192.0.2.1", "alice", true), GuardRefusal::kNone);
  EXPECT_EQ(LogIn(&two, "192.0.2.1", "alice", true), GuardRefusal::kNone);
  EXPECT_EQ(LogIn(&three, "192.0.2.1", "alice", true), GuardRefusal::kSessionsUser);
  EXPECT_TRUE(early_) << "this network is known: no backend is asked";
  EXPECT_EQ(LogIn(&three, "203.0.113.1", "alice", true), GuardRefusal::kSessionsUser);
  EXPECT_FALSE(early_) << "a stranger learns nothing before the login is good";
  EXPECT_EQ(LogIn(&three, "198.51.100.2", "alice", false), GuardRefusal::kNone);
  EXPECT_EQ(LogIn(&three, "192.0.2.1", "bob", true), GuardRefusal::kNone);
  guard_.Leave(&one);
  Visit four(&guard_);
  EXPECT_EQ(LogIn(&four, "192.0.2.1", "ALICE", true), GuardRefusal::kNone);
}

TEST_F(GuardTest, AttemptsTakeNoPlaceOfTheUser) {
  options_.sessions.user = 1;
  Prepare();
  Visit attacker(&guard_);
  EXPECT_EQ(guard_.BeginLogin(options_, Ip("203.0.113.1"), "alice", now_, &attacker),
            GuardRefusal::kNone);
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone);
}

// They are counted in one table.
TEST_F(GuardTest, SessionsOfAUserAreNoAttempts) {
  options_.sessions.user = 100;
  options_.failures.on = true;
  options_.failures.user = 2;
  Prepare();
  std::vector<std::unique_ptr<Visit>> logged_in;
  for (int i = 0; i < 10; ++i) {
    logged_in.push_back(std::make_unique<Visit>(&guard_));
    // From here, where the user is known, and from elsewhere.
    const std::string ip = i % 2 == 0 ? "192.0.2.1" : absl::StrCat("203.0.", i, ".1");
    EXPECT_EQ(LogIn(logged_in.back().get(), ip, "alice", true), GuardRefusal::kNone) << i;
  }
  EXPECT_EQ(guard_.Report()[0].used, 1u) << "of the user, who has no attempt under way";
  // Two attempts at a time, as ever, and two more where the user is known.
  Visit three(&guard_), four(&guard_), five(&guard_), known(&guard_);
  const auto begin = [this](const std::string& ip, Visit* visit) {
    return guard_.BeginLogin(options_, Ip(ip), "alice", now_, visit);
  };
  EXPECT_EQ(begin("198.51.100.1", &three), GuardRefusal::kNone);
  EXPECT_EQ(begin("198.51.100.1", &four), GuardRefusal::kNone);
  EXPECT_EQ(begin("198.51.100.1", &five), GuardRefusal::kFailuresUser);
  EXPECT_EQ(begin("192.0.2.1", &known), GuardRefusal::kNone);
  EXPECT_EQ(guard_.Report()[0].used, 3u) << "the user, the user's attempts, and those from here";
}

// Longer than what the guard keeps on its stack, and different only at the end, or only in case.
TEST_F(GuardTest, LongNamesAreNamesLikeOthers) {
  options_.failures.on = true;
  options_.failures.user = 3;
  Prepare();
  for (const size_t size :
       {size_t{0}, size_t{100}, size_t{122}, size_t{123}, size_t{124}, size_t{1000}}) {
    SCOPED_TRACE(size);
    const std::string name(size, 'x');
    EXPECT_EQ(FailUntilRefused("192.0.2.1", name + "a", GuardRefusal::kFailuresUser), 3);
    EXPECT_EQ(LogIn("192.0.2.1", std::string(size, 'X') + "A", false), GuardRefusal::kFailuresUser);
    EXPECT_EQ(LogIn("192.0.2.1", name + "b", false), GuardRefusal::kNone);
  }
}

TEST_F(GuardTest, FailuresOfAUserAreForgottenOneByOne) {
  options_.failures.on = true;
  options_.failures.user = 8;
  options_.failures.ip = options_.failures.prefix = 0;
  Prepare();
  EXPECT_EQ(FailUntilRefused("192.0.2.1", "alice", GuardRefusal::kFailuresUser), 8);
  EXPECT_EQ(LogIn("203.0.113.1", "Alice", true), GuardRefusal::kFailuresUser) << "from anywhere";
  EXPECT_EQ(LogIn("192.0.2.1", "bob", false), GuardRefusal::kNone);
  now_ += kMinute;
  EXPECT_EQ(FailUntilRefused("192.0.2.1", "alice", GuardRefusal::kFailuresUser), 1);
  now_ += 8 * kMinute;
  EXPECT_EQ(FailUntilRefused("192.0.2.1", "alice", GuardRefusal::kFailuresUser), 8);
}

TEST_F(GuardTest, FailuresOfAddressAndNetwork) {
  options_.failures.on = true;
  options_.failures.ip = 5;
  options_.failures.prefix = 7;
  Prepare();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(LogIn("192.0.2.1", absl::StrCat("user", i), false), GuardRefusal::kNone);
  }
  EXPECT_EQ(LogIn("192.0.2.1", "another", true), GuardRefusal::kFailuresIp);
  EXPECT_EQ(LogIn("192.0.2.2", "u1", false), GuardRefusal::kNone);
  EXPECT_EQ(LogIn("192.0.2.3", "u2", false), GuardRefusal::kNone);
  EXPECT_EQ(LogIn("192.0.2.4", "u3", true), GuardRefusal::kFailuresPrefix);
  EXPECT_EQ(LogIn("192.0.3.4", "u3", true), GuardRefusal::kNone);
}

TEST_F(GuardTest, DelaysBeginAtAQuarterAndGrow) {
  options_.failures.on = true;
  options_.failures.user = 16;
  options_.failures.delay = kSecond;
  options_.failures.delay_max = 16 * kSecond;
  Prepare();
  DurationNs before = 0;
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(LogIn("192.0.2.1", "alice", false), GuardRefusal::kNone);
    if (i < 4) {
      EXPECT_EQ(delay_, 0) << i;
    } else {
      EXPECT_GT(delay_, before) << i;
    }
    if (i == 4) {
      EXPECT_EQ(delay_, kSecond);
    }
    if (i == 10) {
      EXPECT_EQ(delay_, 4 * kSecond);
    }
    before = delay_;
  }
  EXPECT_LT(before, 16 * kSecond);
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kFailuresUser);
}

TEST_F(GuardTest, NobodyIsLockedOutByOthers) {
  options_.failures.on = true;
  options_.failures.user = 10;
  options_.failures.ip = 20;
  options_.failures.prefix = 30;
  Prepare();
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone);
  // With the name, and from the same network.
  FailUntilRefused("203.0.113.1", "alice", GuardRefusal::kFailuresUser);
  for (int i = 0; i < 60; ++i) {
    LogIn(absl::StrCat("192.0.2.", i + 1), absl::StrCat("user", i), false);
  }
  EXPECT_EQ(LogIn("192.0.2.1", "bob", true), GuardRefusal::kFailuresPrefix);
  EXPECT_EQ(LogIn("192.0.2.200", "alice", true), GuardRefusal::kNone);
  EXPECT_EQ(delay_, 0);
  // The known network has an account of its own, which is not endless either.
  EXPECT_EQ(FailUntilRefused("192.0.2.1", "alice", GuardRefusal::kFailuresUser), 10);
  now_ += options_.known_for;
  FailUntilRefused("203.0.113.1", "alice", GuardRefusal::kFailuresUser);
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kFailuresUser) << "known no longer";
}

// Without a limit of its own a known network would have none at all.
TEST_F(GuardTest, AKnownNetworkIsLimitedWhereUsersAreNot) {
  options_.failures.on = true;
  options_.failures.user = 0;
  options_.failures.ip = 5;
  options_.failures.prefix = 8;
  Prepare();
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone);
  EXPECT_EQ(FailUntilRefused("192.0.2.1", "alice", GuardRefusal::kFailuresIp), 5);
  EXPECT_EQ(FailUntilRefused("192.0.2.2", "alice", GuardRefusal::kFailuresPrefix), 3);
  // Others of the network share its account, as they do when nobody is known.
  EXPECT_EQ(LogIn("192.0.2.3", "bob", true), GuardRefusal::kFailuresPrefix);
  EXPECT_EQ(LogIn("198.51.100.1", "bob", true), GuardRefusal::kNone);
}

TEST_F(GuardTest, NoVerdictIsNoFailure) {
  options_.failures.on = true;
  options_.failures.user = 3;
  Prepare();
  for (int i = 0; i < 20; ++i) {
    Visit visit(&guard_);
    ASSERT_EQ(guard_.BeginLogin(options_, Ip("192.0.2.1"), "alice", now_, &visit),
              GuardRefusal::kNone);
    // As when no backend could be asked, and as when the client goes away.
    if (i % 2 == 0) guard_.EndLogin(options_, /*wrong=*/false, now_, &visit);
  }
}

TEST_F(GuardTest, GuessingAtTheSameTimeGainsNothing) {
  options_.failures.on = true;
  options_.failures.user = 10;
  Prepare();
  LogIn("192.0.2.1", "alice", false);
  std::vector<std::unique_ptr<Visit>> visits;
  int begun = 0;
  for (int i = 0; i < 100; ++i) {
    visits.push_back(std::make_unique<Visit>(&guard_));
    const GuardRefusal refusal = guard_.BeginLogin(options_, Ip(absl::StrCat("203.0.113.", i)),
                                                   "alice", now_, visits.back().get());
    if (refusal == GuardRefusal::kNone) ++begun;
  }
  EXPECT_EQ(begun, 9);
  for (const auto& visit : visits) guard_.EndLogin(options_, /*wrong=*/true, now_, visit.get());
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kFailuresUser);
}

// Logins on hold are no guesses, and become some when they go on.
TEST_F(GuardTest, WhoWaitsForAnOperatorIsNoAttempt) {
  options_.failures.on = true;
  options_.failures.user = 3;
  Prepare();
  const auto begin = [this](Visit* visit) {
    return guard_.BeginLogin(options_, Ip("192.0.2.1"), "bob", now_, visit);
  };
  const auto resume = [this](Visit* visit) { return guard_.ResumeLogin(options_, now_, visit); };
  std::vector<std::unique_ptr<Visit>> held;
  for (int i = 0; i < 8; ++i) {
    held.push_back(std::make_unique<Visit>(&guard_));
    ASSERT_EQ(begin(held.back().get()), GuardRefusal::kNone) << i;
    guard_.PauseLogin(held.back().get());
  }
  EXPECT_EQ(guard_.Report()[0].used, 0u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(resume(held[static_cast<size_t>(i)].get()));
    EXPECT_TRUE(resume(held[static_cast<size_t>(i)].get())) << "and takes one place only";
  }
  EXPECT_FALSE(resume(held[3].get()));
  Visit another(&guard_);
  EXPECT_EQ(begin(&another), GuardRefusal::kFailuresUser);
  // A good one makes room, a wrong one takes it for longer.
  guard_.EndLogin(options_, /*wrong=*/false, now_, held[0].get());
  EXPECT_TRUE(resume(held[3].get()));
  guard_.EndLogin(options_, /*wrong=*/true, now_, held[1].get());
  EXPECT_FALSE(resume(held[4].get()));
  guard_.EndLogin(options_, /*wrong=*/true, now_, held[2].get());
  guard_.EndLogin(options_, /*wrong=*/true, now_, held[3].get());
  EXPECT_FALSE(resume(held[5].get()));
  now_ += options_.failures.forget;
  EXPECT_TRUE(resume(held[6].get()));
  // One that ends while it waits gives nothing back twice.
  guard_.EndLogin(options_, /*wrong=*/false, now_, held[7].get());
  held.clear();
  EXPECT_EQ(guard_.Report()[0].used, 0u);
}

TEST_F(GuardTest, LoginDelayCountsFromGoodLoginsOnly) {
  options_.login_delay = kMinute;
  options_.login_delays = true;
  Prepare();
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone);
  now_ += kMinute - 1;
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kLoginDelay);
  EXPECT_TRUE(early_);
  EXPECT_EQ(LogIn("203.0.113.1", "alice", false), GuardRefusal::kNone) << "learns nothing";
  EXPECT_EQ(LogIn("203.0.113.1", "alice", true), GuardRefusal::kLoginDelay);
  EXPECT_FALSE(early_);
  EXPECT_EQ(LogIn("10.0.0.1", "alice", true), GuardRefusal::kNone) << "exempt";
  now_ += 1;
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone) << "refusals do not count";
}

TEST_F(GuardTest, ALoginRefusedByItsDelayTakesNoPlace) {
  options_.login_delay = kMinute;
  options_.login_delays = true;
  options_.sessions.user = 1;
  Prepare();
  {
    Visit visit(&guard_);
    EXPECT_EQ(LogIn(&visit, "192.0.2.1", "alice", true), GuardRefusal::kNone);
  }
  Visit refused(&guard_);
  EXPECT_EQ(LogIn(&refused, "203.0.113.1", "alice", true), GuardRefusal::kLoginDelay);
  now_ += kMinute;
  EXPECT_EQ(LogIn("192.0.2.1", "alice", true), GuardRefusal::kNone);
}

TEST_F(GuardTest, RatesOfNewConnections) {
  options_.connections.ip = {2, kSecond};
  options_.connections.prefix = {3, kSecond};
  options_.connections.listener = {5, kSecond};
  Prepare();
  const auto connect = [this](const std::string& ip, const char* listener = "pop3s") {
    return guard_.LetIn(options_, nullptr, Ip(ip), listener, now_);
  };
  EXPECT_EQ(connect("192.0.2.1"), GuardRefusal::kNone);
  EXPECT_EQ(connect("192.0.2.1"), GuardRefusal::kNone);
  EXPECT_EQ(connect("192.0.2.1"), GuardRefusal::kRateIp);
  EXPECT_EQ(connect("192.0.2.2"), GuardRefusal::kNone);
  EXPECT_EQ(connect("192.0.2.3"), GuardRefusal::kRatePrefix);
  EXPECT_EQ(connect("203.0.113.1"), GuardRefusal::kNone);
  EXPECT_EQ(connect("203.0.113.2"), GuardRefusal::kNone);
  EXPECT_EQ(connect("198.51.100.1"), GuardRefusal::kRateListener);
  EXPECT_EQ(connect("198.51.100.2", "pop3"), GuardRefusal::kNone) << "another listener";
  for (int i = 0; i < 20; ++i) EXPECT_EQ(connect("10.0.0.1"), GuardRefusal::kNone);
  now_ += kSecond;
  EXPECT_EQ(connect("192.0.2.1"), GuardRefusal::kNone);
}

TEST_F(GuardTest, ListsComeFirstAndAllowWins) {
  AddressLists lists;
  lists.allow.Add(IpNetwork::Parse("192.0.2.7").value());
  lists.deny.Add(IpNetwork::Parse("192.0.2.0/24").value());
  lists.deny.Add(IpNetwork::Parse("10.0.0.0/8").value());
  lists.allow.Finish();
  lists.deny.Finish();
  options_.deny_files = {"deny"};
  const auto connect = [&](const std::string& ip) {
    return guard_.LetIn(options_, &lists, Ip(ip), "pop3s", now_);
  };
  Prepare();
  EXPECT_EQ(connect("192.0.2.7"), GuardRefusal::kNone);
  EXPECT_EQ(connect("192.0.2.8"), GuardRefusal::kDenied);
  EXPECT_EQ(connect("10.0.0.1"), GuardRefusal::kDenied) << "exempt from limits, not from lists";
  EXPECT_EQ(connect("203.0.113.1"), GuardRefusal::kNone);
  options_.deny_unlisted = true;
  EXPECT_EQ(connect("203.0.113.1"), GuardRefusal::kDenied);
  EXPECT_EQ(connect("192.0.2.7"), GuardRefusal::kNone);
}

TEST_F(GuardTest, ReportsItsTables) {
  options_.failures.on = true;
  options_.connections.ip = {2, kSecond};
  options_.login_delay = kMinute;
  options_.login_delays = true;
  Prepare();
  LogIn("192.0.2.1", "alice", false);
  std::vector<std::string> names;
  for (const TableReport& table : guard_.Report()) {
    names.push_back(table.name);
    EXPECT_GT(table.bytes, 0u);
    if (table.name == "failures") {
      EXPECT_EQ(table.used, 3u);
      EXPECT_EQ(table.capacity, 4096u);
    }
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"sessions", "failures", "known", "logins", "connections"}));
}

TEST_F(GuardTest, TablesTooLargeForTheSystemAreRefused) {
  Options too_large = options_;
  too_large.failures.on = true;
  too_large.entries = size_t{1} << 56;
  const absl::Status status = guard_.Prepare(too_large);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  // And later options that are not get what they need.
  options_.failures.on = true;
  options_.failures.user = 3;
  Prepare();
  EXPECT_EQ(FailUntilRefused("192.0.2.1", "alice", GuardRefusal::kFailuresUser), 3);
}

TEST_F(GuardTest, LimitsAreExactWhenThreadsHammerIt) {
  options_.sessions.ip = 7;
  options_.sessions.user = 3;
  options_.failures.on = true;
  options_.failures.user = 0;
  options_.failures.ip = options_.failures.prefix = 0;
  Prepare();
  std::atomic<int> connected{0}, logged_in{0};
  std::atomic<bool> too_many{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3000; ++i) {
        Visit visit(&guard_);
        const SocketAddress client = Ip("192.0.2.1");
        if (guard_.TakePlace(options_, client, &visit) != GuardRefusal::kNone) continue;
        if (connected.fetch_add(1) + 1 > 7) too_many = true;
        if (guard_.BeginLogin(options_, client, "alice", now_, &visit) == GuardRefusal::kNone &&
            guard_.Accept(options_, 0, now_, &visit) == GuardRefusal::kNone) {
          if (logged_in.fetch_add(1) + 1 > 3) too_many = true;
          guard_.EndLogin(options_, false, now_, &visit);
          if (i % 4 == 0) std::this_thread::yield();
          logged_in.fetch_sub(1);
        }
        connected.fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(too_many);
  EXPECT_EQ(guard_.Report()[0].used, 0u) << "everything was given back";
  EXPECT_EQ(guard_.uncounted(), 0u);
}

}  // namespace
}  // namespace postern::guard
