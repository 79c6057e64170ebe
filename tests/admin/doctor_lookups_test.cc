// What the doctor says of an answer of a lookup's server.
#include "proxy/admin/doctor_lookups.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::admin {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = routing::LookupAnswer::Kind;

class TellLookupTest : public ::testing::Test {
 protected:
  TellLookupTest() { lookup_.type = "redis"; }

  // In one line each.
  std::string Told(const routing::LookupAnswer& answer) {
    std::string text;
    DoctorReport report([&text](absl::string_view part) { text.append(part.data(), part.size()); });
    TellLookup("homes (10.0.0.1:6379)", "10.0.0.1:6379", lookup_, answer, 1500 * kMicrosecond,
               &report);
    problems_ = report.problems();
    return absl::StrReplaceAll(text, {{"\n            ", " "}, {"\n         ", " "}});
  }
  std::string Told(Kind kind, const std::string& detail = "") {
    return Told(routing::LookupAnswer::Of(kind, detail));
  }

  config::Lookup lookup_;
  int problems_ = 0;
};

TEST_F(TellLookupTest, EveryAnswerIsGood) {
  EXPECT_EQ(Told(Kind::kUnknown),
            "  ok     homes (10.0.0.1:6379): answers in 1.5 ms: does not know a user that nobody "
            "has\n");
  EXPECT_THAT(Told(Kind::kForbidden), HasSubstr("ms: refuses a user that nobody has\n"));
  EXPECT_THAT(Told(Kind::kFound),
              AllOf(HasSubstr("ms: found, even a user that nobody has\n"), Not(HasSubstr("note"))));
  EXPECT_EQ(problems_, 0);
}

TEST_F(TellLookupTest, WhoJudgesPasswordsShouldNotTakeAny) {
  lookup_.traits.judges_credentials = true;
  EXPECT_THAT(Told(Kind::kFound), HasSubstr("note   homes (10.0.0.1:6379) says yes to a password"));
  EXPECT_EQ(problems_, 0);
}

TEST_F(TellLookupTest, NoAnswerIsAProblemAndHasARemedy) {
  EXPECT_EQ(Told(Kind::kTemporary, "10.0.0.1:6379: Connection refused"),
            "  BAD    homes (10.0.0.1:6379): Connection refused -> nobody listens there: is the "
            "service running, and is the address right?\n");
  EXPECT_EQ(problems_, 1);
  const struct {
    const char* detail;
    const char* mend;
  } cases[] = {
      {"Redis: the login is refused: WRONGPASS invalid username-password pair", "password file"},
      {"PostgreSQL: connection to server failed: FATAL: password authentication failed",
       "password file"},
      {"PostgreSQL: FATAL: no pg_hba.conf entry for host \"10.0.0.9\", SSL off", "password file"},
      {"PostgreSQL: FATAL: role \"postern\" does not exist", "password file"},
      {"LDAP: bind: Invalid credentials", "password file"},
      {"MySQL: the query cannot be prepared: Table 'mail.usr' doesn't exist", "database, query"},
      {"PostgreSQL: ERROR: relation \"usr\" does not exist", "database, query"},
      {"LDAP: there is no ou=people,dc=example", "base"},
      {"cannot connect to 10.0.0.1:6379 in time", "firewall"},
      {"cannot resolve db.example: Name or service not known", "getent hosts"},
      {"SSL certificate problem: unable to get local issuer certificate", "name the CA"},
      {"HTTP status 404", "path"},
      {"a reply without an end", "see the log of the service"},
  };
  for (const auto& each : cases) {
    const std::string told = Told(Kind::kTemporary, each.detail);
    EXPECT_THAT(told.substr(told.find("-> ")), HasSubstr(each.mend)) << told;
  }
}

TEST_F(TellLookupTest, AServiceThatCannotJudgeNowDoesAnswer) {
  routing::LookupAnswer answer = routing::LookupAnswer::Of(Kind::kTemporary);
  answer.refusal = "[SYS/TEMP] come again\x1b[2J";
  const std::string told = Told(answer);
  EXPECT_THAT(told, HasSubstr("BAD    homes (10.0.0.1:6379): answers that it cannot judge now: "));
  EXPECT_THAT(told, Not(HasSubstr("\x1b")));
}

TEST_F(TellLookupTest, APolicyServiceIsAskedWhetherALoginMayGoOn) {
  lookup_.type = "policy";
  lookup_.traits.judges_credentials = true;
  lookup_.options.silence = "logins go on without it";
  EXPECT_THAT(Told(Kind::kFound), AllOf(HasSubstr("a login may go on"), Not(HasSubstr("note"))));
  EXPECT_THAT(Told(Kind::kForbidden), HasSubstr("would refuse a user"));
  EXPECT_THAT(Told(Kind::kTemporary, "Connection refused"),
              HasSubstr("Connection refused (logins go on without it) -> nobody listens"));
}

}  // namespace
}  // namespace postern::admin
