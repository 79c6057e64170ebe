// What every source must do, whatever it asks. The servers know, under these names:
//
//   alice@example.org  target mail1
//   bob@example.org    target mail2, to log in as "bobby" with "s3cret bob"
//   carol@example.org  no target
//   twice@example.org  two answers, where the kind of server can have them
#ifndef POSTERN_TESTS_LOOKUP_SOURCES_SOURCE_CONTRACT_H_
#define POSTERN_TESTS_LOOKUP_SOURCES_SOURCE_CONTRACT_H_

#include <signal.h>

#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/lookup_sources/real_server.h"

namespace postern::routing {

// For messages of failed tests.
inline void PrintTo(LookupAnswer::Kind kind, std::ostream* out) {
  constexpr const char* kWords[] = {"found", "unknown", "temporary", "forbidden"};
  *out << kWords[static_cast<int>(kind)];
}

namespace testing {

using Kind = LookupAnswer::Kind;

inline constexpr char kPassword[] = "correct horse 7";

// One server for all tests of a program: starting it takes seconds.
template <typename World>
class WithServer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { world_ = new World(); }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  inline static World* world_ = nullptr;
};

inline void ExpectAlice(LookupSource* source) {
  const LookupAnswer answer = AskFor(source, "alice@example.org");
  EXPECT_EQ(answer.kind, Kind::kFound) << answer.detail;
  EXPECT_EQ(answer.target, "mail1");
}

inline void ExpectAnswers(LookupSource* source) {
  const LookupAnswer alice = AskFor(source, "alice@example.org");
  EXPECT_EQ(alice.kind, Kind::kFound) << alice.detail;
  EXPECT_EQ(alice.target, "mail1");
  EXPECT_EQ(alice.login_user, "");
  EXPECT_FALSE(alice.login_secret.has_value());
  const LookupAnswer bob = AskFor(source, "bob@example.org");
  EXPECT_EQ(bob.kind, Kind::kFound) << bob.detail;
  EXPECT_EQ(bob.target, "mail2");
  EXPECT_EQ(bob.login_user, "bobby");
  ASSERT_TRUE(bob.login_secret.has_value());
  EXPECT_EQ(bob.login_secret->view(), "s3cret bob");
  EXPECT_EQ(AskFor(source, "carol@example.org").kind, Kind::kForbidden);
  EXPECT_EQ(AskFor(source, "nobody@example.org").kind, Kind::kUnknown);
  EXPECT_EQ(AskFor(source, "alice").kind, Kind::kUnknown);
}

inline void ExpectSeveral(LookupSource* source) {
  const LookupAnswer twice = AskFor(source, "twice@example.org");
  EXPECT_EQ(twice.kind, Kind::kTemporary);
  EXPECT_THAT(twice.detail, ::testing::HasSubstr("there are several answers for one user"));
  ExpectAlice(source);
}

// The servers before the last are passed by, and at the second question nobody asks `silent` again:
// no time is lost any more.
inline void ExpectTheNextIsAsked(LookupSource* source, const FakeServer& silent) {
  const LookupAnswer first = AskFor(source, "alice@example.org", std::chrono::seconds(10));
  EXPECT_EQ(first.kind, Kind::kFound) << first.detail;
  const int asked = silent.connections();
  EXPECT_GE(asked, 1);
  ExpectAlice(source);
  EXPECT_EQ(silent.connections(), asked);
}

// None of the names finds anybody, and none does any harm.
inline void ExpectNoInjection(LookupSource* source) {
  for (const std::string& name : InjectionAttempts()) {
    const LookupAnswer answer = AskFor(source, name);
    EXPECT_EQ(answer.kind, Kind::kUnknown) << name << ": " << answer.detail;
  }
  ExpectAnswers(source);
}

// kTemporary, in time, and the password is not told.
inline void ExpectFailure(LookupSource* source, const std::string& detail,
                          std::chrono::milliseconds patience = std::chrono::seconds(60)) {
  const LookupAnswer answer = AskFor(source, "alice@example.org", patience);
  EXPECT_EQ(answer.kind, Kind::kTemporary);
  EXPECT_THAT(answer.detail, ::testing::HasSubstr(detail));
  EXPECT_FALSE(absl::StrContains(answer.detail, kPassword)) << answer.detail;
}

}  // namespace testing
}  // namespace postern::routing

#endif  // POSTERN_TESTS_LOOKUP_SOURCES_SOURCE_CONTRACT_H_
