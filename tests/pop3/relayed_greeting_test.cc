#include "proxy/pop3/relayed_greeting.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/pop3/reply.h"

namespace postern::pop3 {
namespace {

using std::string_literals::operator""s;

TEST(RelayedGreeting, TextAndChallenge) {
  struct Case {
    std::string line;
    std::string text;
    std::string challenge;
  };
  const std::string longest = absl::StrCat("<1.", std::string(392, 'a'), "@h.x>");
  const Case cases[] = {
      {"+OK POP3 ready <1896.697170952@dbc.mtview.ca.us>", "POP3 ready",
       "<1896.697170952@dbc.mtview.ca.us>"},
      // Dovecot's.
      {"+OK [XCLIENT] Dovecot ready. <1f3a.2.65f.xY+/z9==@mail-1>", "Dovecot ready.",
       "<1f3a.2.65f.xY+/z9==@mail-1>"},
      {"+OK [XCLIENT] Dovecot ready.", "Dovecot ready.", ""},
      {"+OK <1.2@h> Cyrus POP3 v2.5 server ready", "Cyrus POP3 v2.5 server ready", "<1.2@h>"},
      {"+OK a <1.2@h> b", "a b", "<1.2@h>"},
      {"+OK <1.2@[10.0.0.1]>", "", "<1.2@[10.0.0.1]>"},
      {"+OK", "", ""},
      {"+OK " + longest, "", longest},
      // Not one that all take for the same: it is left out, and its brackets with it.
      {"+OK <a" + longest.substr(1), "", ""},
      {"+OK a <1.2@h> <3.4@h>", "a 1.2@h 3.4@h", ""},
      {"+OK a <<1.2@h>", "a 1.2@h", ""},
      {"+OK a >1.2@h<", "a 1.2@h", ""},
      {"+OK <1.2@h", "1.2@h", ""},
      {"+OK a <1.2>", "a", ""},
      {"+OK a <@h>", "a", ""},
      {"+OK a <1@>", "a", ""},
      {"+OK a <1@h@h>", "a", ""},
      {"+OK a <1 2@h>", "a", ""},
      {"+OK a <1\t2@h>", "a", ""},
      {"+OK a <1\r2@h>", "a", ""},
      {"+OK a <1\x01@h>", "a", ""},
      {"+OK a <1\xc3\xa4@h>", "a", ""},
      {"+OK a <1\"2@h>", "a", ""},
      {"+OK a <1@h\x7f>", "a", ""},
      {"+OK <>", "", ""},
      // Words that are none.
      {"+OK a\x1b[2Jb\xff\r c", "a?[2Jb?? c", ""},
      {"-ERR no <1.2@h>", "", ""},
      {"+OK a\0b"s, "", ""},
      {"", "", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.line);
    const RelayedGreeting greeting = ReadRelayedGreeting(c.line);
    EXPECT_EQ(greeting.text, c.text);
    EXPECT_EQ(greeting.challenge, c.challenge);
  }
}

TEST(RelayedGreeting, IsCutInItsTextOnly) {
  const std::string challenge = absl::StrCat("<1.", std::string(392, 'a'), "@h.x>");
  ASSERT_EQ(challenge.size(), kRelayedChallengeBytesMax);
  const std::string line = WriteRelayedGreeting("[XCLIENT] ", std::string(2000, 't'), challenge);
  EXPECT_EQ(line.size(), kResponseBytesMax);
  EXPECT_TRUE(absl::StartsWith(line, "+OK [XCLIENT] ttt")) << line;
  EXPECT_TRUE(absl::EndsWith(line, absl::StrCat("t ", challenge, "\r\n"))) << line;
  EXPECT_EQ(WriteRelayedGreeting("", "ready", ""), "+OK ready\r\n");
  EXPECT_EQ(WriteRelayedGreeting("", "", "<1@h>"), "+OK <1@h>\r\n");
}

constexpr char kDigest[] = "C4C9334BAC560ECC979E58001B3E22FB";

Credentials LogIn(LoginDialogue* dialogue, const std::string& line) {
  size_t consumed = 0;
  Decision decision = dialogue->OnInput(line, &consumed);
  EXPECT_EQ(decision.action, Action::kLogin) << decision.reply;
  return std::move(decision.credentials);
}

TEST(RelayedGreeting, TheDigestIsTheBackends) {
  DialogueOptions options;
  options.hostname = "pop.example.net";
  options.plaintext_logins = true;
  LoginDialogue dialogue(&options, /*tls_active=*/false, "");
  dialogue.RelayGreeting({"mail1 ready", "<1.2@mail1>"});
  EXPECT_EQ(dialogue.Greeting(), "+OK mail1 ready <1.2@mail1>\r\n");
  const std::string line = absl::StrCat("APOP anna ", kDigest, "\r\n");
  // As often as it may try: a refusal leaves the challenge as it is.
  for (int i = 0; i < 2; ++i) {
    const Credentials credentials = LogIn(&dialogue, line);
    EXPECT_EQ(credentials.method_name(), "apop");
    EXPECT_EQ(credentials.challenge, "<1.2@mail1>");
    EXPECT_TRUE(credentials.for_backend);
    EXPECT_FALSE(credentials.shows_digest());
    EXPECT_TRUE(dialogue.OnLoginRefused());
  }
  size_t consumed = 0;
  dialogue.OnInput("USER anna\r\n", &consumed);
  EXPECT_FALSE(LogIn(&dialogue, "PASS secret\r\n").for_backend);
}

TEST(RelayedGreeting, WithoutAChallengeThereIsNoApop) {
  DialogueOptions options;
  options.hostname = "pop.example.net";
  options.plaintext_logins = true;
  LoginDialogue dialogue(&options, /*tls_active=*/false, "<9.9@own>");
  dialogue.RelayGreeting({"", ""});
  EXPECT_EQ(dialogue.Greeting(), "+OK pop.example.net POP3 ready\r\n");
  size_t consumed = 0;
  const Decision decision =
      dialogue.OnInput(absl::StrCat("APOP anna ", kDigest, "\r\n"), &consumed);
  EXPECT_EQ(decision.reply, "-ERR APOP is not offered here\r\n");
}

TEST(RelayedGreeting, NoChallengeWhereNobodyCouldUseIt) {
  DialogueOptions options;
  LoginDialogue dialogue(&options, /*tls_active=*/false, "");
  dialogue.TrustXclient();
  dialogue.RelayGreeting({"mail1 ready", "<1.2@mail1>"});
  EXPECT_EQ(dialogue.Greeting(), "+OK [XCLIENT] mail1 ready\r\n");
}

}  // namespace
}  // namespace postern::pop3
