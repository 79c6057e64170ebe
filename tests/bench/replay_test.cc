#include "bench/load/replay.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace postern::load {
namespace {

using Result = LoggedSession::Result;

// As the README shows it.
constexpr absl::string_view kLine =
    "time=2026-11-23T11:19:04.539Z id=0114877b00000000 listener=[::]:995 client=192.0.2.7:60514 "
    "tls=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 resumed=false sni=pop.example.net "
    "user=alice@example.net method=user_pass backend=mail1 pool=mail result=logged_in reason=quit "
    "phase=relay handshake_ms=1.465 upstream_ms=0.337 login_ms=2.152 total_ms=2.615 bytes_in=28 "
    "bytes_out=58 commands=\"stat:1 uidl:2 retr:1 dele:1 quit:1\" messages=1 quit=true\n";

constexpr absl::string_view kJson =
    R"({"time":"2026-11-23T11:19:05.539Z","user":"bob","result":"logged_in","reason":"idle",)"
    R"("total_ms":1500.5,"commands":"top:2 noop:3 list:1","messages":0,"quit":false})"
    "\n";

constexpr absl::string_view kRefused =
    "time=2026-11-23T11:19:05.000Z user=alice@example.net result=refused reason=quit_before_login "
    "total_ms=1000.0 error=\"mail1: -ERR no = sign is special here\"\n";

constexpr absl::string_view kNone =
    "time=2026-11-23T11:19:05.000Z result=none reason=client_reset total_ms=0.5\n";

std::string Problem(absl::string_view text) {
  return std::string(ReplayLog::Parse(text, "log").status().message());
}

TEST(ReplayLogTest, ALineOfEachFormat) {
  const absl::StatusOr<ReplayLog> log =
      ReplayLog::Parse(absl::StrCat(kLine, kJson, kRefused, kNone), "log");
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->bad_lines(), 0u) << log->first_problem();
  ASSERT_EQ(log->sessions().size(), 4u);
  // By start: the refused one 4.000, bob 4.0385, alice 4.536385, none 4.9995.
  const LoggedSession& refused = log->sessions()[0];
  EXPECT_EQ(refused.start, 0);
  EXPECT_EQ(refused.length, kSecond);
  EXPECT_EQ(refused.result, Result::kRefused);
  EXPECT_TRUE(refused.quit);
  const LoggedSession& bob = log->sessions()[1];
  EXPECT_EQ(bob.start, 38'500 * kMicrosecond);
  EXPECT_EQ(bob.result, Result::kLoggedIn);
  EXPECT_EQ(log->users()[bob.user], "bob");
  EXPECT_EQ(bob.messages, 0u);
  EXPECT_EQ(bob.tops, 2u);
  EXPECT_EQ(bob.noops, 3u);
  EXPECT_EQ(bob.lists, 1u);
  EXPECT_FALSE(bob.quit);
  const LoggedSession& alice = log->sessions()[2];
  EXPECT_EQ(alice.start, 536'385 * kMicrosecond);
  EXPECT_EQ(alice.length, 2'615 * kMicrosecond);
  EXPECT_EQ(alice.user, refused.user);
  EXPECT_EQ(log->users()[alice.user], "alice@example.net");
  EXPECT_EQ(alice.messages, 1u);
  EXPECT_EQ(alice.stats, 1u);
  EXPECT_EQ(alice.unique_ids, 2u);
  EXPECT_EQ(alice.deletions, 1u);
  EXPECT_TRUE(alice.quit);
  const LoggedSession& none = log->sessions()[3];
  EXPECT_EQ(none.result, Result::kNone);
  EXPECT_FALSE(none.quit);
  EXPECT_EQ(log->span(), none.start);
  EXPECT_EQ(log->length_max(), 1500'500 * kMicrosecond);
}

TEST(ReplayLogTest, AnOutagesLoginsAreLogins) {
  const absl::StatusOr<ReplayLog> log = ReplayLog::Parse(
      "time=2026-11-23T11:19:05.000Z user=alice result=unavailable total_ms=10\n"
      "time=2026-11-23T11:19:06.000Z result=unavailable total_ms=10\n",
      "log");
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->bad_lines(), 0u) << log->first_problem();
  EXPECT_EQ(log->sessions()[0].result, Result::kUnavailable);
  EXPECT_EQ(log->users()[log->sessions()[0].user], "alice");
  EXPECT_EQ(log->sessions()[1].result, Result::kNone);  // turned away before it said who it is
}

TEST(ReplayLogTest, BadLinesAreCountedAndTheFirstIsExplained) {
  const absl::StatusOr<ReplayLog> log = ReplayLog::Parse(
      absl::StrCat(kLine, "postern: error: something else\n\n", kLine, "{\"time\":\n"), "log");
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->sessions().size(), 2u);
  EXPECT_EQ(log->bad_lines(), 2u);
  EXPECT_EQ(log->first_problem(), "log:2: this is no key=value");
}

TEST(ReplayLogTest, WhatIsWrongWithALine) {
  const auto problem = [](absl::string_view line) { return Problem(line); };
  EXPECT_EQ(problem("time=yesterday user=a result=logged_in total_ms=1"),
            "log:1: time= is no time such as 2026-11-23T11:19:04.539Z; no line of this file is a "
            "session");
  for (const char* line :
       {"", "user=a", "time=2026-11-23T11:19:04.539Z user=a result=logged_in",
        "time=2026-11-23T11:19:04.539Z user=a result=logged_in total_ms=-1",
        "time=2026-11-23T11:19:04.539Z user=a result=logged_in total_ms=x",
        "time=2026-11-23T11:19:04.539Z user=a result=logged_in total_ms=1e300",
        "time=2026-11-23T11:19:04.539Z user=a result=maybe total_ms=1",
        "time=2026-11-23T11:19:04.539Z result=logged_in total_ms=1",
        "time=2026-11-23T11:19:04.539Z user=a result=logged_in total_ms=1 messages=many",
        "time=2026-11-23T11:19:04.539Z user=a result=logged_in total_ms=1 commands=stat",
        "time=2026-11-23T11:19:04.539Z user=a\\r\\nDELE result=logged_in total_ms=1",
        "time=2026-11-23T11:19:04.539Z user=\"a result=logged_in total_ms=1", "=1", "[1]", "{}",
        "{\"time\":{}}"}) {
    EXPECT_FALSE(ReplayLog::Parse(line, "log").ok()) << line;
  }
  EXPECT_FALSE(ReplayLog::Read("/nowhere/sessions.log").ok());
}

TEST(ReplayScriptTest, CommandsAtOnceThenAPauseThenTheEnd) {
  const ReplayLog log = *ReplayLog::Parse(kLine, "log");
  Script expected =
      *ParseScript("login\nstat\nuidl\nuidl\nretr 1\ndele 1\nuntil 1ms\nquit", "test");
  expected[6].pause = 1'307'500;  // half of 2.615 ms
  EXPECT_EQ(ReplayScript(log.sessions()[0], 2), expected);
}

TEST(ReplayScriptTest, WhoFetchesWithoutAskingHowManyAsksNow) {
  LoggedSession session;
  session.result = Result::kLoggedIn;
  session.messages = 3;
  session.quit = false;
  EXPECT_EQ(ReplayScript(session, 1),
            *ParseScript("login\nstat\nretr 1-3\nuntil 0s\nclose", "test"));
}

TEST(ReplayScriptTest, ARefusedOneTriesAndOneWithoutALoginDoesNot) {
  LoggedSession session;
  session.length = kSecond;
  EXPECT_EQ(ReplayScript(session, 1), *ParseScript("until 1s\nquit", "test"));
  for (const Result tried : {Result::kRefused, Result::kUnavailable}) {
    session.result = tried;
    EXPECT_EQ(ReplayScript(session, 1), *ParseScript("login\nuntil 1s\nquit", "test"));
  }
}

}  // namespace
}  // namespace postern::load
