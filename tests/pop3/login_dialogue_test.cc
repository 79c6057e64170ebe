#include "proxy/pop3/login_dialogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proxy/pop3/sasl.h"
#include "tests/pop3/dialogue_transcript.h"

namespace postern::pop3 {
namespace {

using std::string_literals::operator""s;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

DialogueOptions TestOptions() {
  DialogueOptions options;
  options.hostname = "pop.example.net";
  return options;
}

DialogueOptions ApopOptions() {
  DialogueOptions options = TestOptions();
  options.apop = true;
  return options;
}

std::vector<std::string> InTls(absl::string_view input, DialogueOptions options = TestOptions()) {
  return Decisions(options, true, {input});
}

std::vector<std::string> InClear(absl::string_view input, DialogueOptions options) {
  return Decisions(options, false, {input});
}

constexpr char kDigest[] = "0123456789abcdef0123456789abcdef";

TEST(LoginDialogue, XclientIsForThoseWeTrust) {
  const DialogueOptions options = TestOptions();
  EXPECT_EQ(Decisions(options, true, {"XCLIENT ADDR=192.0.2.1\r\n"}),
            std::vector<std::string>{"reply:-ERR Unknown command\r\n"});
  LoginDialogue dialogue(&options, false, "");
  dialogue.TrustXclient();
  EXPECT_EQ(dialogue.Greeting(), "+OK [XCLIENT] pop.example.net POP3 ready\r\n");
  size_t consumed = 0;
  Decision decision =
      dialogue.OnInput("xclient ADDR=192.0.2.1 PORT=7 TTL=3\r\nUSER a\r\n", &consumed);
  ASSERT_EQ(decision.action, Action::kXclient);
  EXPECT_EQ(decision.reply, "+OK Updated\r\n");
  EXPECT_EQ(consumed, 37u);
  EXPECT_EQ(decision.xclient->client.ToString(), "192.0.2.1:7");
  EXPECT_EQ(decision.xclient->ttl, 3);
  decision = dialogue.OnInput("XCLIENT ADDR=nobody\r\n", &consumed);
  EXPECT_EQ(decision.reply, "-ERR Invalid parameters\r\n");
  EXPECT_EQ(dialogue.bad_commands(), 1);
}

TEST(LoginDialogue, XclientMayTellOfTls) {
  const DialogueOptions options = TestOptions();
  LoginDialogue dialogue(&options, false, "");
  dialogue.TrustXclient();
  const auto user = [&dialogue](absl::string_view xclient) {
    size_t consumed = 0;
    EXPECT_EQ(dialogue.OnInput(absl::StrCat(xclient, "\r\n"), &consumed).action, Action::kXclient);
    return dialogue.OnInput("USER anna\r\n", &consumed).reply;
  };
  EXPECT_THAT(user("XCLIENT ADDR=192.0.2.1"), StartsWith("-ERR"));
  EXPECT_EQ(user("XCLIENT CLIENT-TRANSPORT=TLS"), "+OK\r\n");
  EXPECT_THAT(user("XCLIENT CLIENT-TRANSPORT=insecure"), StartsWith("-ERR"));
}

TEST(LoginDialogue, XclientLinesMayBeLong) {
  const DialogueOptions options = TestOptions();
  const std::string line = absl::StrCat("XCLIENT FORWARD=", std::string(900, 'x'), "\r\n");
  LoginDialogue trusted(&options, true, "");
  trusted.TrustXclient();
  size_t consumed = 0;
  EXPECT_EQ(trusted.OnInput(line, &consumed).action, Action::kXclient);
  EXPECT_EQ(trusted.OnInput(std::string(1024, 'x'), &consumed).reason, CloseReason::kLineTooLong);
  LoginDialogue stranger(&options, true, "");
  EXPECT_EQ(stranger.OnInput(line, &consumed).reason, CloseReason::kLineTooLong);
}

TEST(LoginDialogue, GreetingShowsTheChallengeOnlyWhereApopCanBeUsed) {
  DialogueOptions options = TestOptions();
  EXPECT_EQ(LoginDialogue(&options, true, "").Greeting(), "+OK pop.example.net POP3 ready\r\n");
  EXPECT_EQ(LoginDialogue(&options, true, "<1.2@h>").Greeting(),
            "+OK pop.example.net POP3 ready <1.2@h>\r\n");
  // In the clear, no STLS: never usable.
  EXPECT_EQ(LoginDialogue(&options, false, "<1.2@h>").Greeting(),
            "+OK pop.example.net POP3 ready\r\n");
  // There is no second greeting after STLS.
  options.stls = true;
  EXPECT_THAT(LoginDialogue(&options, false, "<1.2@h>").Greeting(), HasSubstr(" <1.2@h>\r\n"));
  options.stls = false;
  options.plaintext_logins = true;
  EXPECT_THAT(LoginDialogue(&options, false, "<1.2@h>").Greeting(), HasSubstr(" <1.2@h>\r\n"));
}

TEST(LoginDialogue, Capabilities) {
  DialogueOptions options = TestOptions();
  EXPECT_THAT(InTls("CAPA\r\n"),
              ElementsAre("reply:+OK Capability list follows\r\nTOP\r\nUSER\r\nSASL PLAIN LOGIN\r\n"
                          "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUIDL\r\n.\r\n"));
  options.stls = true;
  const std::string refused =
      "reply:+OK Capability list follows\r\nTOP\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
      "UIDL\r\nSTLS\r\n.\r\n";
  EXPECT_THAT(InClear("CAPA\r\ncapa x\r\n", options), ElementsAre(refused, refused));
  options.plaintext_logins = true;
  options.mechanisms = {Mechanism::kLogin};
  options.capabilities = {"UIDL"};
  EXPECT_THAT(InClear("CAPA\r\n", options),
              ElementsAre("reply:+OK Capability list follows\r\nUSER\r\nSASL LOGIN\r\nUIDL\r\n"
                          "STLS\r\n.\r\n"));
  options.user_pass = false;
  options.mechanisms = {};
  EXPECT_THAT(InTls("CAPA\r\n", options),
              ElementsAre("reply:+OK Capability list follows\r\nUIDL\r\n.\r\n"));
}

// The STLS boundary.

TEST(Stls, StartsTlsAndForgetsTheUser) {
  DialogueOptions options = TestOptions();
  options.stls = true;
  options.plaintext_logins = true;
  EXPECT_THAT(
      Decisions(options, false, {"USER victim\r\n", "stls \r\n", "PASS right\r\n", "CAPA\r\n"}),
      ElementsAre("reply:+OK\r\n", "starttls:+OK Begin TLS negotiation\r\n",
                  "reply:-ERR USER comes first\r\n", Not(HasSubstr("STLS"))));
}

TEST(Stls, BytesBehindItEndTheSessionWithoutAWord) {
  DialogueOptions options = TestOptions();
  options.stls = true;
  for (const std::string behind : {"CAPA\r\nNOOP\r\n", "USER victim\r\n", "\n", "\x16\x03\x01"}) {
    EXPECT_THAT(InClear("STLS\r\n" + behind, options), ElementsAre("close:stls_injection:"));
  }
  EXPECT_THAT(InClear("CAPA\r\nSTLS\r\n", options),
              ElementsAre(StartsWith("reply:+OK"), StartsWith("starttls:")));
}

TEST(Stls, RefusedInsideTlsWithoutOfferAndWithArgument) {
  DialogueOptions options = TestOptions();
  options.stls = true;
  EXPECT_THAT(InTls("STLS\r\nNOOP\r\n", options),
              ElementsAre(StartsWith("reply:-ERR"), "reply:+OK\r\n"));
  EXPECT_THAT(InClear("STLS now\r\nNOOP\r\n", options),
              ElementsAre(StartsWith("reply:-ERR"), "reply:+OK\r\n"));
  options.stls = false;
  EXPECT_THAT(InClear("STLS\r\nNOOP\r\n", options),
              ElementsAre(StartsWith("reply:-ERR"), "reply:+OK\r\n"));
}

TEST(Stls, CountersAreKept) {
  DialogueOptions options = TestOptions();
  options.stls = true;
  options.bad_commands_max = 3;
  EXPECT_THAT(Decisions(options, false, {"FOO\r\n", "FOO\r\n", "STLS\r\n", "FOO\r\n"}),
              ElementsAre(StartsWith("reply:-ERR"), StartsWith("reply:-ERR"),
                          StartsWith("starttls:"), StartsWith("close:too_many_bad_commands:")));
}

TEST(Stls, CredentialsBeforeItAreRefused) {
  DialogueOptions options = ApopOptions();
  options.stls = true;
  for (const std::string line : {"USER a", "PASS b", "APOP a 0123456789abcdef0123456789abcdef",
                                 "AUTH", "AUTH PLAIN", "AUTH PLAIN AGEAYg==", "AUTH LOGIN"}) {
    EXPECT_THAT(InClear(line + "\r\nNOOP\r\n", options),
                ElementsAre("reply:-ERR Use STLS first\r\n", "reply:+OK\r\n"))
        << line;
    options.stls = false;
    EXPECT_THAT(InClear(line + "\r\n", options),
                ElementsAre("reply:-ERR Logins are not accepted without TLS\r\n"))
        << line;
    options.stls = true;
  }
}

// Lines, commands, pipelining.

TEST(Lines, ACommandMayHave512OctetsAndNoMore) {
  const std::string fits = "USER " + std::string(505, 'a');
  EXPECT_THAT(InTls(fits + "\r\n"), ElementsAre("reply:+OK\r\n"));
  EXPECT_THAT(InTls(fits + "a\r\n"), ElementsAre("close:line_too_long:-ERR Line too long\r\n"));
  EXPECT_THAT(InTls("USER " + std::string(248, 'a') + "\r\nUSER b\r\nPASS c\r\n"),
              ElementsAre("reply:+OK\r\n", "reply:+OK\r\n", "login:user_pass:b:c"));
}

TEST(Lines, AnEndlessLineIsCutWithoutWaitingForItsEnd) {
  EXPECT_THAT(InTls(std::string(511, 'A')), SizeIs(0));
  EXPECT_THAT(InTls(std::string(512, 'A')), ElementsAre(StartsWith("close:line_too_long:-ERR")));
  EXPECT_THAT(InTls(std::string(4 << 20, 'A')),
              ElementsAre(StartsWith("close:line_too_long:-ERR")));
}

TEST(Lines, SaslMayBeLonger) {
  const std::string response = EncodeBase64("\0alice\0"s + std::string(900, 'p'));
  const std::string login = "login:auth_plain:alice:" + std::string(900, 'p');
  EXPECT_THAT(InTls("AUTH PLAIN " + response + "\r\n"), ElementsAre(login));
  EXPECT_THAT(InTls("auth plain\r\n" + response + "\r\n"), ElementsAre("reply:+ \r\n", login));
  const std::string longest(20480 - 2, 'A');
  EXPECT_THAT(InTls("AUTH PLAIN\r\n" + longest + "\r\nNOOP\r\n"),
              ElementsAre("reply:+ \r\n", StartsWith("reply:-ERR"), "reply:+OK\r\n"));
  EXPECT_THAT(InTls("AUTH PLAIN\r\nA" + longest + "\r\n"),
              ElementsAre("reply:+ \r\n", StartsWith("close:line_too_long:")));
  EXPECT_THAT(InTls("AUTH PLAIN\r\n" + std::string(1 << 20, 'A')),
              ElementsAre("reply:+ \r\n", StartsWith("close:line_too_long:")));
  EXPECT_THAT(InTls("AUTH PLAIN " + std::string(1 << 20, 'A')),
              ElementsAre(StartsWith("close:line_too_long:")));
  // The long limit ends with the exchange.
  EXPECT_THAT(
      InTls("AUTH PLAIN\r\n*\r\n" + std::string(600, 'A')),
      ElementsAre("reply:+ \r\n", "reply:-ERR Cancelled\r\n", StartsWith("close:line_too_long:")));
}

TEST(Lines, BareLfEndsALineAndBareCrIsRefused) {
  EXPECT_THAT(InTls("NOOP\nNOOP\r\n"), ElementsAre("reply:+OK\r\n", "reply:+OK\r\n"));
  EXPECT_THAT(InTls("CAPA\rCAPA\r\n"), ElementsAre(StartsWith("reply:-ERR")));
  EXPECT_THAT(InTls("NOOP\r\r\n"), ElementsAre(StartsWith("reply:-ERR")));
}

TEST(Lines, OddCommandsAreAnsweredAndTheSessionGoesOn) {
  for (const std::string line : {"",
                                 " ",
                                 "FOO:BAR",
                                 "RETR -1",
                                 "TOP 1 99999999999999999999",
                                 "\x01",
                                 "XCLIENT ADDR=1.2.3.4",
                                 "UTF8",
                                 "LANG *",
                                 "STAT",
                                 "LIST",
                                 "DELE 1",
                                 "RSET",
                                 "UIDL",
                                 "PASS x",
                                 "USER",
                                 "USER ",
                                 "APOP",
                                 "NOOP x",
                                 "QUIT now",
                                 " NOOP",
                                 "%n%n%s",
                                 "\xFF\xFE",
                                 ":",
                                 "STLS"}) {
    EXPECT_THAT(InTls(line + "\r\nNOOP \r\n"),
                ElementsAre(StartsWith("reply:-ERR"), "reply:+OK\r\n"))
        << line;
  }
}

TEST(Lines, TheTenthBadCommandEndsTheSession) {
  std::string input;
  for (int i = 0; i < 12; ++i) input += "FOO\r\nNOOP\r\n";
  const std::vector<std::string> decisions = InTls(input);
  ASSERT_THAT(decisions, SizeIs(19));
  EXPECT_EQ(decisions.back(), "close:too_many_bad_commands:-ERR Too many bad commands\r\n");
}

TEST(Lines, AnHttpMethodAsTheFirstWordEndsTheSessionAtOnce) {
  for (const std::string method :
       {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"}) {
    EXPECT_THAT(InTls(method + " /<script> HTTP/1.1\r\nHost: x\r\n\r\n"),
                ElementsAre("close:client_not_pop3:"));
    EXPECT_THAT(InTls(method + "\n"), ElementsAre("close:client_not_pop3:"));
  }
  EXPECT_THAT(InTls("GET /" + std::string(5000, 'x')), ElementsAre("close:client_not_pop3:"));
  EXPECT_THAT(InTls("CAPA\r\nGET / HTTP/1.0\r\n"),
              ElementsAre(StartsWith("reply:+OK"), "close:client_not_pop3:"));
  // Three letters of good base64 are no method.
  EXPECT_THAT(InTls("AUTH LOGIN\r\nPOST\r\nPOST\r\n"),
              ElementsAre("reply:+ VXNlcm5hbWU6\r\n", "reply:+ UGFzc3dvcmQ6\r\n",
                          "login:auth_login:<\xE4\x93:<\xE4\x93"));
}

TEST(Lines, TlsSpokenToAPlaintextPortEndsTheSessionWithoutAWord) {
  DialogueOptions options = TestOptions();
  options.stls = true;
  EXPECT_THAT(InClear("\x16\x03\x01\x02\x00\x01"s, options), ElementsAre("close:client_not_pop3:"));
  EXPECT_THAT(Decisions(options, false, {"\x16", "\x03"}), ElementsAre("close:client_not_pop3:"));
  EXPECT_THAT(Decisions(options, false, {"\x16"}), SizeIs(0));
}

TEST(Lines, NothingOfTheInputIsEverEchoed) {
  const std::string mark = "kq7z";
  for (const std::string line : {"kq7z", "USER kq7z", "PASS kq7z", "APOP kq7z kq7z", "AUTH kq7z",
                                 "AUTH PLAIN kq7z", "AUTH LOGIN kq7z", "CAPA kq7z", "STLS kq7z",
                                 "NOOP kq7z", "QUIT kq7z", "RETR kq7z", "GET /kq7z HTTP/1.1"}) {
    EXPECT_THAT(InTls(line + "\r\n"), Each(Not(HasSubstr(mark)))) << line;
  }
}

TEST(Lines, ControlBytesNeverReachALogin) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool control = byte < 0x20 || byte == 0x7F;
    const std::string odd = std::string("x") + static_cast<char>(byte) + "y";
    if (byte != '\n') {
      const std::vector<std::string> user = InTls("USER " + odd + "\r\nPASS p\r\n");
      EXPECT_EQ(user.back() == "login:user_pass:" + odd + ":p", !control) << byte;
      const std::vector<std::string> pass = InTls("USER u\r\nPASS " + odd + "\r\n");
      EXPECT_EQ(pass.back() == "login:user_pass:u:" + odd, !control) << byte;
      const std::vector<std::string> apop =
          InTls(absl::StrCat("APOP ", odd, " ", kDigest, "\r\n"), ApopOptions());
      EXPECT_EQ(apop.back() == absl::StrCat("login:apop:", odd, ":", kDigest), !control) << byte;
    }
    const std::vector<std::string> plain_user =
        InTls("AUTH PLAIN " + EncodeBase64("\0"s + odd + "\0p"s) + "\r\n");
    EXPECT_EQ(plain_user.back() == "login:auth_plain:" + odd + ":p", !control) << byte;
    const std::vector<std::string> plain_pass =
        InTls("AUTH PLAIN " + EncodeBase64("\0u\0"s + odd) + "\r\n");
    EXPECT_EQ(plain_pass.back() == "login:auth_plain:u:" + odd, !control) << byte;
    const std::vector<std::string> login_user =
        InTls("AUTH LOGIN " + EncodeBase64(odd) + "\r\ncA==\r\n");
    EXPECT_EQ(login_user.back() == "login:auth_login:" + odd + ":p", !control) << byte;
    const std::vector<std::string> login_pass =
        InTls("AUTH LOGIN dQ==\r\n" + EncodeBase64(odd) + "\r\n");
    EXPECT_EQ(login_pass.back() == "login:auth_login:u:" + odd, !control) << byte;
  }
}

// USER, PASS and APOP.

TEST(UserPass, TheArgumentsAreTakenAsTheyAre) {
  EXPECT_THAT(InTls("user alice\r\npass a b  c \r\n"),
              ElementsAre("reply:+OK\r\n", "login:user_pass:alice:a b  c "));
  EXPECT_THAT(InTls("USER a b \r\nPASS  \r\n"),
              ElementsAre("reply:+OK\r\n", "login:user_pass:a b : "));
  EXPECT_THAT(InTls("USER \xC3\xA9\xFF\r\nPASS \xFE\r\n"),
              ElementsAre("reply:+OK\r\n", "login:user_pass:\xC3\xA9\xFF:\xFE"));
  EXPECT_THAT(InTls("USER %{env:PATH}\r\nPASS ' OR '1'='1\r\n"),
              ElementsAre("reply:+OK\r\n", "login:user_pass:%{env:PATH}:' OR '1'='1"));
}

TEST(UserPass, TheLaterUserCounts) {
  EXPECT_THAT(InTls("USER a\r\nUSER b\r\nCAPA\r\nNOOP\r\nPASS p\r\n").back(),
              "login:user_pass:b:p");
  EXPECT_THAT(InTls("USER a\r\nUSER\r\nPASS p\r\n").back(), StartsWith("reply:-ERR"));
}

TEST(UserPass, PassNeedsAUserEachTime) {
  EXPECT_THAT(InTls("PASS p\r\nUSER a\r\nPASS\r\nPASS p\r\n"),
              ElementsAre(StartsWith("reply:-ERR"), "reply:+OK\r\n", StartsWith("reply:-ERR"),
                          "reply:-ERR USER comes first\r\n"));
  EXPECT_THAT(InTls("USER a\r\nPASS p\r\nPASS q\r\nUSER a\r\nPASS q\r\n"),
              ElementsAre("reply:+OK\r\n", "login:user_pass:a:p", "reply:-ERR USER comes first\r\n",
                          "reply:+OK\r\n", "login:user_pass:a:q"));
  EXPECT_THAT(InTls("USER a\r\nAUTH PLAIN\r\n*\r\nPASS p\r\n").back(),
              "reply:-ERR USER comes first\r\n");
  EXPECT_THAT(InTls("USER a\r\nPASS x\x01y\r\nPASS p\r\n").back(),
              "reply:-ERR USER comes first\r\n");
}

TEST(UserPass, MayBeSwitchedOff) {
  DialogueOptions options = TestOptions();
  options.user_pass = false;
  EXPECT_THAT(InTls("USER a\r\nPASS p\r\n", options), Each(StartsWith("reply:-ERR")));
}

TEST(UserPass, RefusedLoginsAreCounted) {
  const DialogueOptions options = TestOptions();
  LoginDialogue dialogue(&options, true, "");
  EXPECT_TRUE(dialogue.OnLoginRefused());
  EXPECT_TRUE(dialogue.OnLoginRefused());
  EXPECT_FALSE(dialogue.OnLoginRefused());
  EXPECT_EQ(dialogue.refused_logins(), 3);
  EXPECT_EQ(dialogue.bad_commands(), 0);
}

TEST(UserPass, TroubleOfTheBackendIsNoRefusedLogin) {
  const DialogueOptions options = TestOptions();
  LoginDialogue dialogue(&options, true, "");
  EXPECT_TRUE(dialogue.OnLoginTroubled());
  EXPECT_TRUE(dialogue.OnLoginRefused());
  EXPECT_TRUE(dialogue.OnLoginRefused());
  EXPECT_TRUE(dialogue.OnLoginTroubled());
  EXPECT_FALSE(dialogue.OnLoginTroubled());
  EXPECT_EQ(dialogue.refused_logins(), 2);
  EXPECT_EQ(dialogue.bad_commands(), 0);
}

TEST(Apop, TheDigestIsTheLastWordAndHas32HexDigits) {
  const std::string digest = kDigest;
  const std::string upper = absl::AsciiStrToUpper(digest);
  EXPECT_THAT(InTls("APOP alice " + digest + "\r\n", ApopOptions()),
              ElementsAre("login:apop:alice:" + digest));
  EXPECT_THAT(InTls("apop a b " + upper + " \r\n", ApopOptions()),
              ElementsAre("login:apop:a b:" + digest));
  for (const std::string& argument :
       {"alice"s, "alice "s, digest, " " + digest, "alice " + digest.substr(1),
        "alice " + digest + "0", "alice g" + digest.substr(1), ""s}) {
    EXPECT_THAT(InTls("APOP " + argument + "\r\n", ApopOptions()),
                ElementsAre("reply:-ERR APOP needs a name and a digest\r\n"))
        << argument;
  }
  EXPECT_THAT(InTls("APOP alice " + digest + "\r\n"),
              ElementsAre("reply:-ERR APOP is not offered here\r\n"));
}

TEST(Apop, AFailedTryLeavesNothingBehind) {
  const std::string apop = absl::StrCat("APOP a ", kDigest, "\r\n");
  const std::string login = absl::StrCat("login:apop:a:", kDigest);
  EXPECT_THAT(InTls(apop + apop + "AUTH CRAM-MD5\r\nPASS x\r\n" + apop, ApopOptions()),
              ElementsAre(login, login, "reply:-ERR Unknown mechanism\r\n",
                          "reply:-ERR USER comes first\r\n", login));
}

TEST(Apop, ChallengesAreDigitsAndDistinct) {
  std::set<std::string> seen;
  std::string random(16, '\0');
  for (int i = 0; i < 50; ++i) {
    random[static_cast<size_t>(i % 16)] =
        static_cast<char>(random[static_cast<size_t>(i % 16)] + 1);
    const std::string challenge = MakeApopChallenge("pop.example.net", random);
    EXPECT_THAT(challenge, testing::MatchesRegex("<[0-9]+\\.[0-9]+@pop\\.example\\.net>"));
    EXPECT_TRUE(seen.insert(challenge).second);
  }
  EXPECT_EQ(MakeApopChallenge("h", std::string(16, '\xFF')),
            "<18446744073709551615.18446744073709551615@h>");
}

// SASL.

TEST(Auth, Listing) {
  EXPECT_THAT(InTls("AUTH\r\nauth \r\n"),
              Each("reply:+OK Mechanism list follows\r\nPLAIN\r\nLOGIN\r\n.\r\n"));
  DialogueOptions options = TestOptions();
  options.mechanisms = {};
  EXPECT_THAT(InTls("AUTH\r\n", options), ElementsAre("reply:-ERR AUTH is not offered here\r\n"));
}

TEST(Auth, PlainWithAndWithoutInitialResponse) {
  const std::string login = "login:auth_plain:alice:a b  c ";
  const std::string response = EncodeBase64("\0alice\0a b  c "s);
  EXPECT_THAT(InTls("AUTH PLAIN " + response + "\r\n"), ElementsAre(login));
  EXPECT_THAT(InTls("auth Plain\r\n" + response + "\n"), ElementsAre("reply:+ \r\n", login));
  EXPECT_THAT(InTls("AUTH PLAIN " + EncodeBase64("alice\0alice\0p"s) + "\r\n"),
              ElementsAre("login:auth_plain:alice:p"));
}

TEST(Auth, MalformedPlainIsRefusedInBothForms) {
  for (const std::string& message :
       {""s, "\0"s, "\0\0"s, "\0alice"s, "alice"s, "\0\0p"s, "\0alice\0"s, "\0alice\0p\0x"s,
        "bob\0alice\0p"s, "\0"s + std::string(3000, 'u') + "\0p"s,
        "\0alice\0"s + std::string(3000, 'p')}) {
    const std::string response = EncodeBase64(message);
    const std::string initial = response.empty() ? "=" : response;
    EXPECT_THAT(InTls("AUTH PLAIN " + initial + "\r\nNOOP\r\n"),
                ElementsAre(StartsWith("reply:-ERR"), "reply:+OK\r\n"));
    EXPECT_THAT(InTls("AUTH PLAIN\r\n" + response + "\r\nNOOP\r\n"),
                ElementsAre("reply:+ \r\n", StartsWith("reply:-ERR"), "reply:+OK\r\n"));
  }
}

TEST(Auth, BadBase64IsRefusedAndCounted) {
  const DialogueOptions options = TestOptions();
  for (const std::string text : {"!!!!", "AAA", "AA=A", "====", "AGEA Yg==", "=="}) {
    DialogueTranscript transcript(&options, true);
    transcript.Feed("AUTH PLAIN " + text + "\r\nAUTH PLAIN\r\n" + text + "\r\n");
    EXPECT_THAT(transcript.decisions(),
                ElementsAre("reply:-ERR Not valid base64\r\n", "reply:+ \r\n",
                            "reply:-ERR Not valid base64\r\n"))
        << text;
    EXPECT_EQ(transcript.dialogue().bad_commands(), 2);
  }
}

TEST(Auth, LoginInItsThreeForms) {
  EXPECT_THAT(InTls("AUTH LOGIN\r\nYWxpY2U=\r\nYSBi\r\n"),
              ElementsAre("reply:+ VXNlcm5hbWU6\r\n", "reply:+ UGFzc3dvcmQ6\r\n",
                          "login:auth_login:alice:a b"));
  EXPECT_THAT(InTls("AUTH LOGIN YWxpY2U=\r\nYSBi\r\n"),
              ElementsAre("reply:+ UGFzc3dvcmQ6\r\n", "login:auth_login:alice:a b"));
  EXPECT_THAT(InTls("AUTH LOGIN =\r\nYWxpY2U=\r\nYSBi\r\n"),
              ElementsAre("reply:+ VXNlcm5hbWU6\r\n", "reply:+ UGFzc3dvcmQ6\r\n",
                          "login:auth_login:alice:a b"));
  EXPECT_THAT(InTls("AUTH LOGIN\r\n\r\nNOOP\r\n").back(), "reply:+OK\r\n");
  EXPECT_THAT(InTls("AUTH LOGIN YWxpY2U=\r\n\r\nNOOP\r\n").back(), "reply:+OK\r\n");
  const std::string too_long = EncodeBase64(std::string(1001, 'x'));
  EXPECT_THAT(InTls("AUTH LOGIN " + too_long + "\r\n"),
              ElementsAre("reply:-ERR Malformed LOGIN response\r\n"));
  EXPECT_THAT(InTls("AUTH LOGIN YWxpY2U=\r\n" + too_long + "\r\n").back(),
              "reply:-ERR Malformed LOGIN response\r\n");
  // The user of a broken exchange is not the user of the next PASS.
  EXPECT_THAT(InTls("AUTH LOGIN YWxpY2U=\r\n*\r\nPASS p\r\n").back(),
              "reply:-ERR USER comes first\r\n");
}

TEST(Auth, StarCancels) {
  EXPECT_THAT(InTls("AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN YQ==\r\n*\r\nNOOP\r\n"),
              ElementsAre("reply:+ \r\n", "reply:-ERR Cancelled\r\n", "reply:+ VXNlcm5hbWU6\r\n",
                          "reply:-ERR Cancelled\r\n", "reply:+ UGFzc3dvcmQ6\r\n",
                          "reply:-ERR Cancelled\r\n", "reply:+OK\r\n"));
}

TEST(Auth, UnknownMechanismsAreRefusedAndTheNextLoginWorks) {
  for (const std::string& mechanism :
       {"NTLM"s, "GSSAPI"s, "CRAM-MD5"s, "XOAUTH2 abc"s, std::string(200, 'M'), "PLAINX"s, "*"s}) {
    EXPECT_THAT(InTls("AUTH " + mechanism + "\r\nAUTH PLAIN AGEAYg==\r\n"),
                ElementsAre("reply:-ERR Unknown mechanism\r\n", "login:auth_plain:a:b"));
  }
  DialogueOptions options = TestOptions();
  options.mechanisms = {Mechanism::kPlain};
  EXPECT_THAT(InTls("AUTH LOGIN\r\n", options), ElementsAre("reply:-ERR Unknown mechanism\r\n"));
}

// How the caller is served.

TEST(LoginDialogue, OneDecisionPerCallTheRestStaysWithTheCaller) {
  const DialogueOptions options = TestOptions();
  LoginDialogue dialogue(&options, true, "");
  size_t consumed = 99;
  EXPECT_EQ(dialogue.OnInput("", &consumed).action, Action::kNeedInput);
  EXPECT_EQ(consumed, 0u);
  EXPECT_EQ(dialogue.OnInput("NOOP\r\nCAPA\r\nQU", &consumed).reply, "+OK\r\n");
  EXPECT_EQ(consumed, 6u);
  EXPECT_EQ(dialogue.OnInput("QU", &consumed).action, Action::kNeedInput);
  EXPECT_EQ(consumed, 0u);
  const Decision quit = dialogue.OnInput("QUIT\r\nNOOP\r\n", &consumed);
  EXPECT_EQ(quit.reason, CloseReason::kQuitBeforeLogin);
  EXPECT_EQ(quit.reply, "+OK Goodbye\r\n");
  EXPECT_EQ(consumed, 12u);
}

TEST(LoginDialogue, MethodNames) {
  Credentials credentials;
  EXPECT_EQ(credentials.method_name(), "user_pass");
  credentials.method = LoginMethod::kApop;
  EXPECT_EQ(credentials.method_name(), "apop");
  credentials.method = LoginMethod::kAuth;
  EXPECT_EQ(credentials.method_name(), "auth_plain");
  credentials.mechanism = Mechanism::kOauthbearer;
  EXPECT_EQ(credentials.method_name(), "auth_oauthbearer");
}

DialogueOptions CramOptions() {
  DialogueOptions options = TestOptions();
  options.mechanisms = {Mechanism::kCramMd5};
  return options;
}

TEST(CramMd5, AnswersTheChallenge) {
  const DialogueOptions options = CramOptions();
  LoginDialogue dialogue(&options, true, "");
  size_t consumed = 0;
  ASSERT_EQ(dialogue.OnInput("AUTH cram-md5\r\n", &consumed).action, Action::kCramChallenge);
  EXPECT_EQ(dialogue.OnCramChallenge("<1.2@h>"),
            absl::StrCat("+ ", EncodeBase64("<1.2@h>"), "\r\n"));
  const std::string response =
      EncodeBase64(absl::StrCat("anna b ", absl::AsciiStrToUpper(kDigest)));
  Decision decision = dialogue.OnInput(response + "\r\n", &consumed);
  ASSERT_EQ(decision.action, Action::kLogin);
  EXPECT_EQ(decision.credentials.user, "anna b");
  EXPECT_EQ(decision.credentials.digest.view(), kDigest);
  EXPECT_EQ(decision.credentials.challenge, "<1.2@h>");
  EXPECT_EQ(decision.credentials.method_name(), "auth_cram_md5");
  // The same answer again is a command, and no good one.
  EXPECT_THAT(dialogue.OnInput(response + "\r\n", &consumed).reply, StartsWith("-ERR"));
}

TEST(CramMd5, Malformed) {
  for (const std::string& response :
       {std::string("anna"), std::string("anna "), absl::StrCat(" ", kDigest),
        absl::StrCat("anna ", kDigest, "0"), absl::StrCat("an\tna ", kDigest),
        absl::StrCat(std::string(1001, 'a'), " ", kDigest)}) {
    EXPECT_THAT(
        InTls(absl::StrCat("AUTH CRAM-MD5\r\n", EncodeBase64(response), "\r\n"), CramOptions()),
        ElementsAre("cram_challenge", "reply:-ERR Malformed CRAM-MD5 response\r\n"));
  }
  EXPECT_THAT(
      InTls("AUTH CRAM-MD5 YQ==\r\nAUTH CRAM-MD5\r\n*\r\nAUTH CRAM-MD5 =\r\n!\r\n", CramOptions()),
      ElementsAre("reply:-ERR CRAM-MD5 begins with our challenge\r\n", "cram_challenge",
                  "reply:-ERR Cancelled\r\n", "cram_challenge", "reply:-ERR Not valid base64\r\n"));
}

}  // namespace
}  // namespace postern::pop3
