// Routes that ask a lookup, between routes that know by themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "routing/router.h"

namespace postern::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RouteOptions To(const std::string& users, const std::string& backend) {
  RouteOptions route;
  route.users = users;
  route.backend = backend;
  return route;
}

RouteOptions Asks(const std::string& lookup, const std::string& pool = {},
                  const std::string& backend = {}) {
  RouteOptions route;
  route.lookup = lookup;
  route.pool = pool;
  route.backend = backend;
  return route;
}

class LookupRouteTest : public ::testing::Test {
 protected:
  LookupRouteTest() {
    options_.backends = {{"mail1", 100}, {"mail2", 100}, {"old", 100}};
    options_.pools = {{"mail", Balance::kRendezvous, {0, 1}, false, {}, true}};
    options_.lookups = {"first", "second"};
    options_.routes = {
        To("alice@x", "old"),       // 0
        Asks("first", "mail"),      // 1
        To("bob@x", "mail1"),       // 2
        To("*@y", "mail2"),         // 3
        Asks("second", {}, "old"),  // 4
        To("*@z", "old"),           // 5
        To("*", "mail1"),           // 6
    };
    for (const BackendOptions& backend : options_.backends) {
      states_.push_back(std::make_shared<BackendState>(backend.name));
    }
    router_ = Router::Create(options_).value();
  }

  Decision Route(const std::string& user) { return router_->Route(user, states_, 1); }
  Decision Behind(int route, const std::string& user) {
    return router_->RouteBehind(route, user, states_, 1);
  }

  RouterOptions options_;
  BackendStateList states_;
  std::unique_ptr<const Router> router_;
};

TEST_F(LookupRouteTest, StopsAtALookupAndGoesOnBehindIt) {
  EXPECT_EQ(Route("alice@x").route, 0);
  EXPECT_EQ(Route("alice@x").lookup, -1);
  for (const char* user : {"bob@x", "c@y", "d@z", "e"}) {
    const Decision decision = Route(user);
    EXPECT_EQ(decision.route, 1) << user;
    EXPECT_EQ(decision.lookup, 0) << user;
    EXPECT_FALSE(decision.known) << user;
    EXPECT_EQ(decision.candidate_count, 0) << user;
  }
  EXPECT_EQ(Behind(1, "bob@x").route, 2);
  EXPECT_EQ(Behind(1, "bob@x").candidates[0], 0);
  EXPECT_EQ(Behind(1, "c@y").route, 3);
  EXPECT_EQ(Behind(1, "d@z").route, 4);
  EXPECT_EQ(Behind(1, "d@z").lookup, 1);
  EXPECT_EQ(Behind(4, "d@z").route, 5);
  EXPECT_EQ(Behind(4, "e").route, 6);
  EXPECT_TRUE(Behind(4, "e").known);
}

TEST_F(LookupRouteTest, NothingBehindTheLast) {
  options_.routes = {Asks("first")};
  router_ = Router::Create(options_).value();
  EXPECT_EQ(Route("a").lookup, 0);
  EXPECT_FALSE(Behind(0, "a").known);
  EXPECT_EQ(Behind(0, "a").lookup, -1);
  EXPECT_EQ(Behind(0, "a").route, -1);
}

TEST_F(LookupRouteTest, AnAnswerLeadsAsARouteWould) {
  const Decision backend = router_->RouteTo(1, "old", "u", states_, 1);
  EXPECT_TRUE(backend.known);
  EXPECT_EQ(backend.route, 1);
  EXPECT_EQ(backend.pool, -1);
  EXPECT_EQ(backend.candidates[0], 2);
  const Decision pool = router_->RouteTo(4, "mail", "u", states_, 1);
  EXPECT_EQ(pool.pool, 0);
  EXPECT_EQ(pool.candidate_count, 1);
  // The route's own, where the answer names nothing.
  EXPECT_EQ(router_->RouteTo(1, "", "u", states_, 1).pool, 0);
  EXPECT_EQ(router_->RouteTo(4, "", "u", states_, 1).candidates[0], 2);
  EXPECT_FALSE(router_->RouteTo(1, "nobody", "u", states_, 1).known);
  EXPECT_EQ(router_->SettingsBackend(1), 0);
  EXPECT_EQ(router_->SettingsBackend(4), 2);
  // And not where nobody may go.
  states_[2]->SetService(Service::kDisabled, "test", "", 1);
  const Decision out = router_->RouteTo(1, "old", "u", states_, 1);
  EXPECT_TRUE(out.known);
  EXPECT_EQ(out.candidate_count, 0);
  EXPECT_EQ(out.out, 2);
}

TEST_F(LookupRouteTest, Mistakes) {
  const auto error = [this](const RouteOptions& route) {
    options_.routes = {route};
    return std::string(Router::Create(options_).status().message());
  };
  EXPECT_THAT(error(Asks("third")), HasSubstr("there is no lookup \"third\""));
  EXPECT_THAT(error(Asks("first", "nowhere")), HasSubstr("there is no pool \"nowhere\""));
  RouteOptions both = Asks("first");
  both.users = "*";
  EXPECT_THAT(error(both), HasSubstr("make it two routes"));
}

TEST_F(LookupRouteTest, ExplainsWhatWasAnswered) {
  EXPECT_THAT(router_->Explain("u@z"), HasSubstr("is asked at each login"));
  LookupAnswer::Kind kind = LookupAnswer::Kind::kUnknown;
  std::string target;
  ExplainedEnd end;
  const auto explain = [&](const std::string& user) {
    end = ExplainedEnd();
    return router_->Explain(
        user,
        [&](size_t lookup, const std::string& asked, std::string* note) {
          EXPECT_EQ(asked, user);
          *note = "2 ms";
          LookupAnswer answer =
              LookupAnswer::Of(lookup == 0 ? LookupAnswer::Kind::kUnknown : kind, "because");
          answer.target = target;
          return answer;
        },
        &end);
  };
  std::string text = explain("u@z");
  EXPECT_THAT(text, HasSubstr("lookup \"first\": does not know the user (because, 2 ms)"));
  EXPECT_THAT(text, HasSubstr("users \"*@z\": matches -> backend \"old\""));
  EXPECT_EQ(end.backend, 2);
  kind = LookupAnswer::Kind::kFound;
  target = "mail";
  EXPECT_THAT(explain("u@z"), HasSubstr("found (because, 2 ms) -> pool \"mail\""));
  EXPECT_GE(end.backend, 0);
  target = "192.0.2.1:110";
  EXPECT_THAT(explain("u@z"), HasSubstr("-> \"192.0.2.1:110\""));
  EXPECT_EQ(end.backend, 2);
  EXPECT_EQ(end.address, "192.0.2.1:110");
  kind = LookupAnswer::Kind::kForbidden;
  EXPECT_THAT(explain("u@z"), HasSubstr("would see after a wrong password"));
  EXPECT_EQ(end.backend, -1);
  kind = LookupAnswer::Kind::kTemporary;
  EXPECT_THAT(explain("u@z"), HasSubstr("[SYS/TEMP]"));
  EXPECT_THAT(explain("alice@x"), Not(HasSubstr("lookup")));
}

}  // namespace
}  // namespace postern::routing
