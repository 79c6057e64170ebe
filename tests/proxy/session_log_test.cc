#include "proxy/session_log.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SessionRecord Joined(const pop3::RelayCounter* counter) {
  SessionRecord record;
  record.id = 0x1234;
  record.listener = "[::]:995";
  record.client = *SocketAddress::Parse("192.0.2.7:4711");
  record.tls_version = "TLSv1.3";
  record.tls_cipher = "TLS_AES_128_GCM_SHA256";
  record.user = "bob@example.org";
  record.method = "user_pass";
  record.backend = "mail1";
  record.pool = "mail";
  record.logged_in = true;
  record.phase = Phase::kRelay;
  record.reason = CloseReason::kQuit;
  record.login = 12'500'000;
  record.total = 2 * kSecond;
  record.bytes_from_client = 20;
  record.bytes_to_client = 4000;
  record.counter = counter;
  return record;
}

const absl::Time kNow = absl::FromUnixMillis(1'700'000'000'123);

TEST(SessionLog, LogfmtHasOneFieldPerFact) {
  pop3::RelayCounter counter;
  counter.OnClientBytes("RETR 1\r\nQUIT\r\n");
  counter.OnServerBytes("+OK\r\nx\r\n.\r\n+OK\r\n");
  const std::string line = FormatSession(Joined(&counter), config::LogFormat::kLogfmt, kNow);
  for (const char* field :
       {"time=2023-11-14T22:13:20.123Z", "id=0000000000001234", "listener=[::]:995",
        "client=192.0.2.7:4711", "tls=TLSv1.3", "user=bob@example.org", "method=user_pass",
        "backend=mail1", "pool=mail", "result=logged_in", "reason=quit", "phase=relay",
        "login_ms=12.500", "total_ms=2000.000", "bytes_in=20", "bytes_out=4000", "messages=1",
        "quit=true", "commands=\"retr:1 quit:1\""}) {
    EXPECT_THAT(line, HasSubstr(field));
  }
}

TEST(SessionLog, NamesTheNeighbourAndTheTlsThatEndedThere) {
  pop3::RelayCounter counter;
  SessionRecord record = Joined(&counter);
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow), Not(HasSubstr("via")));
  record.via = *SocketAddress::Parse("10.0.0.1:4000");
  record.via_protocol = "v2";
  record.via_session = "lb 7";
  const std::string line = FormatSession(record, config::LogFormat::kLogfmt, kNow);
  EXPECT_THAT(line,
              HasSubstr(" via=10.0.0.1:4000 via_protocol=v2 via_session=\"lb 7\" tls=TLSv1.3"));
  EXPECT_THAT(line, Not(HasSubstr("resumed")));
  record.tls_resumed = false;
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow), HasSubstr("resumed=false"));
}

TEST(SessionLog, TellsHowLongItWaitedForAMaildrop) {
  SessionRecord record = Joined(nullptr);
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow), Not(HasSubstr("in_use")));
  record.in_use = 1'250'000'000;
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow),
              HasSubstr(" in_use_ms=1250.000 login_ms=12.500 "));
}

TEST(SessionLog, TellsHowLongALookupDidNotDecide) {
  SessionRecord record = Joined(nullptr);
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow), Not(HasSubstr("undecided")));
  record.undecided = 1'250'000'000;
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow),
              HasSubstr(" undecided_ms=1250.000 login_ms=12.500 "));
}

TEST(SessionLog, NamesWhatTheGuardRefused) {
  SessionRecord record = Joined(nullptr);
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow), Not(HasSubstr("guard")));
  record.reason = CloseReason::kAdmission;
  record.guard_refusal = GuardRefusal::kSessionsPrefix;
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow),
              HasSubstr(" reason=admission guard=sessions_prefix phase="));
}

TEST(SessionLog, NamesWhatThePolicyServiceSaid) {
  SessionRecord record = Joined(nullptr);
  const std::string without = FormatSession(record, config::LogFormat::kLogfmt, kNow);
  EXPECT_THAT(without, Not(HasSubstr("policy")));
  EXPECT_THAT(without, Not(HasSubstr("tarpit")));
  record.policy = "tarpitted";
  record.tarpit = 3 * kSecond;
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow),
              HasSubstr(" policy=tarpitted tarpit_ms=3000.000 phase="));
}

TEST(SessionLog, WhatPeersSentStaysOnOneLineInBothFormats) {
  pop3::RelayCounter counter;
  SessionRecord record = Joined(&counter);
  const std::string evil = "a\x1b[31m\r\nreason=quit user=root \"x\" \xe2\x80\xae\xff=";
  record.user = evil;
  record.tls_server_name = evil;
  record.via_session = evil;
  const std::string logfmt = FormatSession(record, config::LogFormat::kLogfmt, kNow);
  for (const char c : logfmt) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  // The value is quoted and holds no quote, so it cannot pose as other fields.
  EXPECT_THAT(logfmt, HasSubstr("user=\"a\\x1b[31m\\x0d\\x0areason=quit user=root \\x22x\\x22 "
                                "\\xe2\\x80\\xae\\xff=\" "));
  const auto json = nlohmann::json::parse(FormatSession(record, config::LogFormat::kJson, kNow));
  EXPECT_EQ(json["reason"], "quit");
  EXPECT_EQ(json["backend"], "mail1");
  EXPECT_THAT(json["user"].get<std::string>(), Not(HasSubstr("\n")));
}

TEST(SessionLog, FailureSaysWhy) {
  SessionRecord record = Joined(nullptr);
  record.logged_in = false;
  record.reason = CloseReason::kUpstreamUnavailable;
  record.upstream_error = "mail1: connect to 10.0.0.1:110: Connection refused";
  const std::string line = FormatSession(record, config::LogFormat::kLogfmt, kNow);
  EXPECT_THAT(line, HasSubstr("result=unavailable reason=upstream_unavailable"));
  EXPECT_THAT(line, HasSubstr("error=\"mail1: connect to 10.0.0.1:110: Connection refused\""));
  EXPECT_THAT(line, Not(HasSubstr("bytes_in")));
}

TEST(SessionLog, RefusedLoginsAreCounted) {
  SessionRecord record = Joined(nullptr);
  record.logged_in = false;
  record.refused_logins = 3;
  record.bad_commands = 2;
  record.reason = CloseReason::kTooManyLogins;
  EXPECT_THAT(FormatSession(record, config::LogFormat::kLogfmt, kNow),
              HasSubstr("result=refused reason=too_many_logins phase=relay refused=3 "
                        "bad_commands=2"));
}

}  // namespace
}  // namespace postern
