#include "routing/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"
#include "routing/backend_state.h"

namespace {

thread_local size_t allocations = 0;

void* Allocate(size_t bytes) {
  ++allocations;
  if (void* memory = malloc(bytes)) return memory;
  abort();
}

}  // namespace

// Counts what the program allocates; the other forms of new come down to this one.
void* operator new(size_t bytes) { return Allocate(bytes); }
void* operator new[](size_t bytes) { return Allocate(bytes); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }

namespace postern::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class TemporaryMap {
 public:
  explicit TemporaryMap(const std::string& content) {
    char path[] = "/tmp/postern_router_XXXXXX";
    const int fd = mkstemp(path);
    EXPECT_GE(fd, 0);
    close(fd);
    path_ = path;
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryMap() { unlink(path_.c_str()); }
  TemporaryMap(const TemporaryMap&) = delete;
  TemporaryMap& operator=(const TemporaryMap&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

RouteOptions ToPool(const std::string& users, const std::string& pool) {
  RouteOptions route;
  route.users = users;
  route.pool = pool;
  return route;
}

RouteOptions ToBackend(const std::string& users, const std::string& backend) {
  RouteOptions route;
  route.users = users;
  route.backend = backend;
  return route;
}

RouteOptions ByMap(const std::string& file) {
  RouteOptions route;
  route.map_file = file;
  return route;
}

// mail1, mail2, mail3 in pool "mail"; old, in none; pool "spare" of mail1 and old, with failover.
RouterOptions Farm() {
  RouterOptions options;
  options.backends = {{"mail1", 100, false, {}},
                      {"mail2", 100, false, {}},
                      {"mail3", 100, false, {}},
                      {"old", 100, false, {}}};
  options.pools = {{"mail", Balance::kRendezvous, {0, 1, 2}, false, {}, true, 0, 0, {}, {}, 0},
                   {"spare", Balance::kMaglev, {0, 3}, true, {}, true, 0, 0, {}, {}, 0}};
  return options;
}

std::unique_ptr<const Router> MustCreate(const RouterOptions& options) {
  auto router = Router::Create(options);
  EXPECT_TRUE(router.ok()) << router.status();
  return *std::move(router);
}

std::string ErrorOf(const RouterOptions& options) {
  const auto router = Router::Create(options);
  EXPECT_FALSE(router.ok());
  return std::string(router.status().message());
}

TEST(RouterTest, FirstMatchWins) {
  const TemporaryMap map("carol@example.org\told\n*@mapped.example\tspare\n");
  RouterOptions options = Farm();
  options.routes = {
      ToBackend("Alice@Example.ORG", "mail3"),  // 0
      ByMap(map.path()),                        // 1
      ToBackend("carol@example.org", "mail1"),  // 2: the map was first
      ToPool("*@example.org", "mail"),          // 3
      ToBackend("bob@example.org", "old"),      // 4: the domain was first
      ToBackend("bare", "mail2"),               // 5
      ToPool("*", "spare"),                     // 6
      ToBackend("late", "old"),                 // 7: everybody was first
  };
  const auto router = MustCreate(options);
  const std::vector<std::pair<const char*, int>> cases = {
      {"Alice@example.org", 0},
      {"alice@example.org", 3},
      {"carol@example.org", 1},
      {"x@mapped.example", 1},
      {"bob@example.org", 3},
      {"bare", 5},
      {"BARE", 6},
      {"late", 6},
      {"x@sub.example.org", 6},
      {"example.org", 6},
      {"", 6},
  };
  for (const auto& [user, route] : cases) {
    const Decision decision = router->Route(user);
    EXPECT_TRUE(decision.known) << user;
    EXPECT_EQ(decision.route, route) << user;
    EXPECT_GE(decision.candidate_count, 1) << user;
  }
  EXPECT_EQ(router->Route("carol@example.org").candidates[0], 3);
  EXPECT_EQ(router->Route("carol@example.org").pool, -1);
  EXPECT_EQ(router->Route("carol@example.org").candidate_count, 1);
  EXPECT_EQ(router->Route("x@mapped.example").pool, 1);
  EXPECT_EQ(router->mapped_users(), 2u);
  EXPECT_GT(router->map_memory_bytes(), 0u);
}

// The index must agree with trying the routes one by one, whatever their order.
TEST(RouterTest, IndexAgreesWithTheListInEveryOrder) {
  const TemporaryMap first("a@x\tmail1\nb\tmail2\n");
  const TemporaryMap second("a@x\tmail3\nc@y\tmail2\n*@z\told\n");
  std::vector<std::pair<RouteOptions, std::vector<std::string>>> routes = {
      {ToBackend("a@x", "old"), {"a@x"}},
      {ToPool("*@x", "mail"), {"a@x", "d@x"}},
      {ByMap(first.path()), {"a@x", "b"}},
      {ByMap(second.path()), {"a@x", "c@y", "e@z"}},
      {ToPool("*", "spare"), {"a@x", "b", "c@y", "d@x", "e@z", "f"}},
  };
  std::vector<size_t> order = {0, 1, 2, 3, 4};
  do {
    RouterOptions options = Farm();
    for (const size_t i : order) options.routes.push_back(routes[i].first);
    const auto router = MustCreate(options);
    for (const char* user : {"a@x", "b", "c@y", "d@x", "e@z", "f"}) {
      int expected = 0;
      while (!std::count(routes[order[static_cast<size_t>(expected)]].second.begin(),
                         routes[order[static_cast<size_t>(expected)]].second.end(), user)) {
        ++expected;
      }
      EXPECT_EQ(router->Route(user).route, expected) << user;
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(RouterTest, NobodyKnowsTheUser) {
  RouterOptions options = Farm();
  options.routes = {ToPool("*@example.org", "mail")};
  const auto router = MustCreate(options);
  const Decision decision = router->Route("bob@example.com");
  EXPECT_FALSE(decision.known);
  EXPECT_EQ(decision.route, -1);
  EXPECT_EQ(decision.pool, -1);
  EXPECT_EQ(decision.candidate_count, 0);
  EXPECT_FALSE(MustCreate(Farm())->Route("bob").known);
}

TEST(RouterTest, FailoverGivesMoreCandidates) {
  RouterOptions options = Farm();
  options.routes = {ToPool("*@one.example", "mail"), ToPool("*", "spare")};
  const auto router = MustCreate(options);
  for (int i = 0; i < 100; ++i) {
    const Decision one = router->Route(absl::StrCat("user", i, "@one.example"));
    EXPECT_EQ(one.candidate_count, 1);
    EXPECT_EQ(one.pool, 0);
    const Decision two = router->Route(absl::StrCat("user", i));
    ASSERT_EQ(two.candidate_count, 2);
    EXPECT_EQ(two.candidates[0] + two.candidates[1], 0 + 3);
  }
}

TEST(RouterTest, WeightZeroTakesNewUsersOnlyByName) {
  RouterOptions options = Farm();
  options.backends[1].weight = 0;
  options.routes = {ToBackend("kept", "mail2"), ToPool("*", "mail")};
  const auto router = MustCreate(options);
  EXPECT_EQ(router->Route("kept").candidates[0], 1);
  for (int i = 0; i < 200; ++i) EXPECT_NE(router->Route(absl::StrCat("user", i)).candidates[0], 1);
}

TEST(RouterTest, OneMapForSeveralRoutesIsLoadedOnce) {
  const TemporaryMap map("a\tmail1\n");
  RouterOptions options = Farm();
  options.routes = {ByMap(map.path()), ByMap(map.path())};
  EXPECT_EQ(MustCreate(options)->mapped_users(), 1u);
  options.routes = {ByMap("/nonexistent"), ByMap("/nonexistent")};
  EXPECT_EQ(ErrorOf(options),
            "/nonexistent: cannot be opened: No such file or directory; check the path");
}

TEST(RouterTest, RoutingNeverAllocates) {
  const TemporaryMap map("mapped@example.org\tmail1\n*@domain.example\tmail2\n");
  RouterOptions options = Farm();
  options.routes = {ToBackend("exact@example.org", "old"), ByMap(map.path()),
                    ToPool("*@pool.example", "mail"), ToPool("*@spare.example", "spare")};
  const auto router = MustCreate(options);
  const std::vector<std::string> users = {"exact@example.org",
                                          "mapped@example.org",
                                          "somebody.with.a.long.name@domain.example",
                                          "somebody.with.a.long.name@pool.example",
                                          "somebody.with.a.long.name@spare.example",
                                          "somebody.with.a.long.name@nowhere.example"};
  const size_t before = allocations;
  int known = 0;
  for (const std::string& user : users) known += router->Route(user).known ? 1 : 0;
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(known, 5);
}

struct BadCase {
  RouteOptions route;
  const char* error;
};

TEST(RouterTest, MistakesInRoutesNameTheirPlace) {
  RouteOptions both = ToPool("*", "mail");
  both.backend = "mail1";
  RouteOptions map_and_users = ByMap("/nonexistent");
  map_and_users.users = "*";
  RouteOptions map_and_pool = ByMap("/nonexistent");
  map_and_pool.pool = "mail";
  const std::vector<BadCase> cases = {
      {RouteOptions(), "needs a map, cdb, rules, regex or users"},
      {both, "names a pool and a backend; keep one of them"},
      {map_and_users, "has more than one of a map, cdb, rules, regex and users"},
      {map_and_pool, "has a map, cdb or rules and a target; their lines name their own targets"},
      {ToPool("*", ""), "leads nowhere; name a pool or a backend"},
      {ToPool("*", "mail1"), "there is no pool \"mail1\"; define it or correct the name"},
      {ToBackend("*", "mail"), "there is no backend \"mail\"; define it or correct the name"},
      {ToPool("*@", "mail"), "users = \"*@\": behind \"*@\" stands exactly one domain"},
      {ToPool("*@a@b", "mail"), "users = \"*@a@b\": behind \"*@\" stands exactly one domain"},
      {ToPool("bob*", "mail"), "users = \"bob*\": '*' stands alone or before \"@domain\""},
      {ToPool("@a", "mail"), "users = \"@a\": the user name has nothing before the '@'"},
      {ToPool("a\x01", "mail"), "users = \"a\\x01\": the user name contains control bytes"},
  };
  for (const BadCase& c : cases) {
    RouterOptions options = Farm();
    options.routes = {ToPool("*", "mail"), c.route};
    EXPECT_THAT(ErrorOf(options), StartsWith(absl::StrCat("route 2: ", c.error)));
    options.routes[1].line = 41;
    EXPECT_THAT(ErrorOf(options), StartsWith(absl::StrCat("route 2 (line 41): ", c.error)));
  }
}

TEST(RouterTest, AllMistakesAreTold) {
  const TemporaryMap map("a\tmail1\nb\tmail9\nc\tmail\nc\tmail2\n");
  RouterOptions options = Farm();
  options.routes = {ToPool("*", "x"), ByMap(map.path()), ToPool("*", "y")};
  const std::string error = ErrorOf(options);
  EXPECT_EQ(
      error,
      absl::StrCat("route 1: there is no pool \"x\"; define it or correct the name\n", map.path(),
                   ":2:3: \"mail9\" is neither a backend nor a pool; add it to the "
                   "configuration or correct the name\n",
                   map.path(),
                   ":4:3: the user already has another target in line 3; keep one of the "
                   "lines\n"
                   "route 3: there is no pool \"y\"; define it or correct the name"));
}

TEST(RouterTest, AmbiguousNamesMatterOnlyInMaps) {
  const TemporaryMap map("a\tmail\n");
  RouterOptions options = Farm();
  options.backends[3].name = "mail";
  options.routes = {ToPool("*", "mail")};
  EXPECT_EQ(MustCreate(options)->Route("a").pool, 0);
  options.routes = {ToBackend("*", "mail")};
  EXPECT_EQ(MustCreate(options)->Route("a").candidates[0], 3);
  options.routes = {ByMap(map.path())};
  EXPECT_THAT(ErrorOf(options), HasSubstr(":1:3: \"mail\" is the name of a backend and of a pool"));
}

TEST(RouterTest, MistakesInPoolsAndUserOptions) {
  RouterOptions options = Farm();
  options.user.default_domain = "@example.org";
  options.backends[1].name = "mail1";
  options.pools[0].backends = {0, 0};
  options.pools[1].backends = {};
  EXPECT_EQ(ErrorOf(options),
            "default_domain \"@example.org\" is not a domain; write it like \"example.org\", "
            "without '@', '*' or spaces\n"
            "there are two backends named \"mail1\"; rename one of them\n"
            "pool \"mail\": backend \"mail1\" is in it twice\n"
            "pool \"spare\": has no backends; add at least one");
  options = Farm();
  options.pools[1].name = "mail";
  options.pools[1].backends = {9};
  EXPECT_EQ(ErrorOf(options),
            "there are two pools named \"mail\"; rename one of them\n"
            "pool \"mail\": there is no backend number 9");
  options = Farm();
  options.backends[0].weight = options.backends[3].weight = 0;
  EXPECT_EQ(
      ErrorOf(options),
      "pool \"spare\": every backend has weight 0, so nobody could log in; give one a weight");
}

TEST(RouterTest, NormalisesLogins) {
  RouterOptions options = Farm();
  options.user.default_domain = "example.org";
  const auto router = MustCreate(options);
  EXPECT_EQ(*router->NormaliseUser(" Bob "), "Bob@example.org");
  EXPECT_TRUE(absl::IsInvalidArgument(router->NormaliseUser("").status()));
  EXPECT_EQ(router->options().backends.size(), 4u);
}

class UsableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::Configure(log::Level::kError);
    RouterOptions options = Farm();
    options.routes = {ToBackend("fixed", "old"), ToPool("*@spare.example", "spare"),
                      ToPool("*", "mail")};
    router_ = MustCreate(options);
    BackendStates states;
    for (const BackendOptions& backend : options.backends) {
      states_.push_back(states.Get(backend.name));
    }
  }
  void TearDown() override { log::Configure(log::Level::kInfo); }
  void TakeDown(size_t backend) {
    CheckResult dead;
    dead.reachable = false;
    for (int i = 0; i < 3; ++i) states_[backend]->OnCheck(dead, CheckRules(), 1);
  }

  std::unique_ptr<const Router> router_;
  BackendStateList states_;
};

TEST_F(UsableTest, AllUsableIsThePlainRoute) {
  for (const char* user : {"fixed", "a@spare.example", "b"}) {
    const Decision decision = router_->Route(user, states_, 0);
    EXPECT_EQ(decision.candidates, router_->Route(user).candidates);
    EXPECT_EQ(decision.out, -1);
  }
}

TEST_F(UsableTest, WithoutFailoverNobodyElseServes) {
  TakeDown(3);
  const Decision fixed = router_->Route("fixed", states_, 0);
  EXPECT_TRUE(fixed.known);
  EXPECT_EQ(fixed.candidate_count, 0);
  EXPECT_EQ(fixed.out, 3);
  const int home = router_->Route("b").candidates[0];
  EXPECT_EQ(router_->Route("b", states_, 0).candidates[0], home);
  TakeDown(static_cast<size_t>(home));
  EXPECT_EQ(router_->Route("b", states_, 0).candidate_count, 0);
  EXPECT_EQ(router_->Route("b", states_, 0).out, home);
}

TEST_F(UsableTest, WithFailoverTheNextOneServes) {
  const Decision before = router_->Route("a@spare.example");
  ASSERT_EQ(before.candidate_count, 2);
  TakeDown(static_cast<size_t>(before.candidates[0]));
  const Decision after = router_->Route("a@spare.example", states_, 0);
  EXPECT_EQ(after.candidate_count, 1);
  EXPECT_EQ(after.candidates[0], before.candidates[1]);
  EXPECT_EQ(after.out, -1);
  TakeDown(static_cast<size_t>(before.candidates[1]));
  const Decision nobody = router_->Route("a@spare.example", states_, 0);
  EXPECT_EQ(nobody.candidate_count, 0);
  EXPECT_EQ(nobody.out, before.candidates[0]);
}

// Three of them, all for everybody.
class EjectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::Configure(log::Level::kError);
    RouterOptions options;
    options.backends = {{"a", 100, false, {}}, {"b", 100, false, {}}, {"c", 100, false, {}}};
    options.pools = {
        {"mail", Balance::kRendezvous, {0, 1, 2}, true, {2, 10, 40, 67}, true, 0, 0, {}, {}, 0}};
    options.routes = {ToPool("*", "mail")};
    router_ = MustCreate(options);
    BackendStates states;
    for (const char* name : {"a", "b", "c"}) states_.push_back(states.Get(name));
  }
  void TearDown() override { log::Configure(log::Level::kInfo); }
  void Fail(size_t backend, int times, TimeNs now) {
    for (int i = 0; i < times; ++i) {
      router_->NoteFailure(router_->Route("u"), backend, "x", states_, now);
    }
  }

  std::unique_ptr<const Router> router_;
  BackendStateList states_;
};

TEST_F(EjectTest, NoMoreThanTheShare) {
  Fail(0, 1, 100);
  EXPECT_TRUE(states_[0]->usable(100));
  Fail(0, 1, 100);
  EXPECT_FALSE(states_[0]->usable(100));
  Fail(1, 2, 100);
  EXPECT_FALSE(states_[1]->usable(109));
  Fail(2, 20, 100);
  EXPECT_TRUE(states_[2]->usable(100)) << "two of three are 67 %";
  EXPECT_EQ(router_->Standing(0, states_, 100).usable, 1);
  const Decision decision = router_->Route("u", states_, 100);
  EXPECT_EQ(decision.candidate_count, 1);
  EXPECT_EQ(decision.candidates[0], 2);
  EXPECT_EQ(router_->Standing(0, states_, 110).usable, 3);
}

TEST_F(EjectTest, PanicUsesThoseThatMayAnswer) {
  Fail(0, 2, 100);
  CheckResult wrong;
  wrong.reason = "[AUTH]";
  CheckResult dead;
  dead.reachable = false;
  for (int i = 0; i < 3; ++i) {
    states_[1]->OnCheck(wrong, CheckRules(), 100);
    states_[2]->OnCheck(dead, CheckRules(), 100);
  }
  const PoolStanding standing = router_->Standing(0, states_, 100);
  EXPECT_EQ(standing.usable, 0);
  EXPECT_TRUE(standing.panic);
  const Decision decision = router_->Route("u", states_, 100);
  EXPECT_TRUE(decision.panic);
  ASSERT_EQ(decision.candidate_count, 2);
  EXPECT_NE(decision.candidates[0], 2);
  EXPECT_NE(decision.candidates[1], 2);
  // The ejection ends, and with it the panic.
  EXPECT_FALSE(router_->Standing(0, states_, 110).panic);
  EXPECT_EQ(router_->Route("u", states_, 110).candidates[0], 0);
  EXPECT_FALSE(router_->Route("u", states_, 110).panic);
}

TEST_F(EjectTest, OutliersGoOnlyWhereOthersAreLeft) {
  const auto eject = [this](size_t backend) {
    router_->EjectOutlier(0, backend, EjectCause::kSlowLogin, "slow", states_, 100);
  };
  states_[0]->SetService(Service::kDisabled, "x", "", 100);
  eject(1);
  EXPECT_FALSE(states_[1]->usable(100));
  eject(2);
  EXPECT_TRUE(states_[2]->usable(100)) << "one is disabled, one ejected: it is the last";
  states_[0]->SetService(Service::kEnabled, "x", "", 100);
  eject(1);
  EXPECT_EQ(states_[1]->Report(100).ejections, 1u) << "it is out already";
  eject(2);
  EXPECT_FALSE(states_[2]->usable(100)) << "two of three are 67 %";
  // One that is nobody's choice is no reason to send everybody away.
  states_[0]->SetWeight(0, "x", "", 200);
  router_->EjectOutlier(0, 1, EjectCause::kSlowLogin, "slow", states_, 1000);
  router_->EjectOutlier(0, 2, EjectCause::kSlowLogin, "slow", states_, 1000);
  EXPECT_FALSE(states_[1]->usable(1000));
  EXPECT_TRUE(states_[2]->usable(1000));
}

// A member of two pools may be an outlier in the one, and the only home of a user in the other.
TEST_F(EjectTest, AnOutlierStaysTheHomeOfWhoHasNoOther) {
  RouterOptions options;
  options.backends = {{"a", 100, false, {}}, {"b", 100, false, {}}, {"c", 100, false, {}}};
  options.pools = {
      {"homes", Balance::kRendezvous, {0, 1, 2}, false, {2, 10, 40, 67}, true, 0, 0, {}, {}, 0}};
  options.routes = {ToPool("*", "homes")};
  const std::unique_ptr<const Router> homes = MustCreate(options);
  const int home = homes->Route("u", states_, 100).candidates[0];
  router_->EjectOutlier(0, static_cast<size_t>(home), EjectCause::kSlowLogin, "slow", states_, 100);
  ASSERT_FALSE(states_[static_cast<size_t>(home)]->usable(101));
  const Decision decision = homes->Route("u", states_, 101);
  EXPECT_EQ(decision.candidate_count, 1);
  EXPECT_EQ(decision.candidates[0], home);
  EXPECT_FALSE(decision.panic);
}

TEST_F(EjectTest, NobodyIsLeftWhenAllAreUnreachable) {
  CheckResult dead;
  dead.reachable = false;
  for (const auto& state : states_) {
    for (int i = 0; i < 3; ++i) state->OnCheck(dead, CheckRules(), 100);
  }
  EXPECT_FALSE(router_->Standing(0, states_, 100).panic);
  EXPECT_EQ(router_->Route("u", states_, 100).candidate_count, 0);
}

TEST(ExplainTest, TellsEachStep) {
  const TemporaryMap map("carol@example.org\told\n*@mapped.example\tspare\n");
  RouterOptions options = Farm();
  options.routes = {ByMap(map.path()), ToBackend("alice", "mail1"),
                    ToPool("*@example.org", "mail")};
  options.routes[2].line = 41;
  const auto router = MustCreate(options);
  const std::string text = router->Explain(" Bob@EXAMPLE.org");
  const auto chosen = static_cast<size_t>(router->Route("Bob@example.org").candidates[0]);
  EXPECT_THAT(
      text, StartsWith(absl::StrCat(
                "login      \" Bob@EXAMPLE.org\"  ->  user \"Bob@example.org\" (blanks at the ends "
                "removed, domain in lower case)\n"
                "route 1    map ",
                map.path(),
                " (2 users): not in it\n"
                "route 2    users \"alice\": does not match\n"
                "route 3    users \"*@example.org\" (line 41): matches -> pool \"mail\" (user-hash "
                "over 3 "
                "backends)\n"
                "backend    ",
                options.backends[chosen].name, " (user hash ")));
  EXPECT_THAT(text, HasSubstr(", next by hash: mail"));
  EXPECT_THAT(text, HasSubstr("not tried because failover is off)\n"));

  EXPECT_EQ(router->Explain("carol@example.org"),
            absl::StrCat("login      \"carol@example.org\"  ->  user \"carol@example.org\" (as it "
                         "is)\nroute 1    map ",
                         map.path(),
                         " (2 users): found -> backend \"old\"\n"
                         "backend    old (the only candidate)\n"));
  EXPECT_THAT(router->Explain("x@mapped.example"),
              HasSubstr("not in it itself, but \"*@mapped.example\" is -> pool \"spare\" (maglev "
                        "over 2 backends)\n"));
}

TEST(ExplainTest, UnknownAndUnusableNames) {
  RouterOptions options = Farm();
  for (int i = 0; i < 1025; ++i) options.routes.push_back(ToPool(absl::StrCat("u", i), "mail"));
  const auto router = MustCreate(options);
  const std::string text = router->Explain("nobody");
  EXPECT_THAT(text, HasSubstr("\nroute 20   users \"u19\": does not match\n"
                              "...        1 005 more do not match\n"
                              "result     no route knows this user; the client sees what it would "
                              "see after a wrong password\n"));
  EXPECT_THAT(router->Explain("u1000"), HasSubstr("...        980 more do not match\nroute 1001 "));
  EXPECT_EQ(router->Explain("a\x1b[2J"),
            "login      \"a\\x1b[2J\"  ->  refused before routing: the user name contains control "
            "bytes\n");
}

}  // namespace
}  // namespace postern::routing
