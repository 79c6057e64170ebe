// Mechanisms whose exchange is carried to the backend: the dialogue only sees whose it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/pop3/sasl.h"
#include "tests/pop3/dialogue_transcript.h"

namespace postern::pop3 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::string> InTls(absl::string_view input, const DialogueOptions& options) {
  return Decisions(options, true, {input});
}

DialogueOptions CarriedOptions() {
  DialogueOptions options;
  options.mechanisms = {Mechanism::kPlain, Mechanism::kScramSha256, Mechanism::kXoauth2};
  return options;
}

constexpr char kScramFirst[] = "n,,n=anna,r=nonce";

TEST(CarriedMechanisms, TheFirstMessageNamesTheUser) {
  const DialogueOptions options = CarriedOptions();
  const std::string first = EncodeBase64(kScramFirst);
  for (const bool at_once : {true, false}) {
    LoginDialogue dialogue(&options, true, "");
    size_t consumed = 0;
    Decision decision;
    if (at_once) {
      decision = dialogue.OnInput(absl::StrCat("AUTH scram-sha-256 ", first, "\r\n"), &consumed);
    } else {
      EXPECT_EQ(dialogue.OnInput("AUTH SCRAM-SHA-256\r\n", &consumed).reply, "+ \r\n");
      decision = dialogue.OnInput(first + "\r\n", &consumed);
    }
    ASSERT_EQ(decision.action, Action::kLogin);
    EXPECT_EQ(decision.credentials.user, "anna");
    EXPECT_TRUE(decision.credentials.carried());
    EXPECT_EQ(decision.credentials.sasl_message.view(), first);
    EXPECT_TRUE(decision.credentials.password.empty());
    EXPECT_EQ(decision.credentials.method_name(), "auth_scram_sha_256");
  }
}

TEST(CarriedMechanisms, OnlyThoseThatAreOffered) {
  const std::string first = EncodeBase64(kScramFirst);
  EXPECT_THAT(InTls(absl::StrCat("AUTH SCRAM-SHA-256 ", first, "\r\n"), DialogueOptions()),
              ElementsAre("reply:-ERR Unknown mechanism\r\n"));
  EXPECT_THAT(
      InTls("AUTH SCRAM-SHA-1\r\nAUTH SCRAM-SHA-256-PLUS\r\nCAPA\r\nAUTH\r\n", CarriedOptions()),
      ElementsAre("reply:-ERR Unknown mechanism\r\n", "reply:-ERR Unknown mechanism\r\n",
                  HasSubstr("SASL PLAIN SCRAM-SHA-256 XOAUTH2"),
                  HasSubstr("PLAIN\r\nSCRAM-SHA-256\r\nXOAUTH2\r\n.")));
}

TEST(CarriedMechanisms, BadFirstMessages) {
  const auto reply = [](absl::string_view response) {
    return InTls(absl::StrCat("AUTH SCRAM-SHA-256 ", response, "\r\n"), CarriedOptions())[0];
  };
  EXPECT_EQ(reply("!"), "reply:-ERR Not valid base64\r\n");
  EXPECT_EQ(reply("="), "reply:-ERR Malformed first message\r\n");
  EXPECT_EQ(reply(EncodeBase64("n,,n=an\tna,r=nonce")), "reply:-ERR Malformed first message\r\n");
  EXPECT_EQ(reply(EncodeBase64("n,a=bob,n=anna,r=nonce")),
            "reply:-ERR An authorization identity of another user is not accepted\r\n");
  EXPECT_EQ(reply(EncodeBase64(absl::StrCat("n,,n=", std::string(1001, 'a'), ",r=x"))),
            "reply:-ERR Malformed first message\r\n");
}

class CarriedExchange : public testing::Test {
 protected:
  Decision Answer(absl::string_view line) {
    dialogue_.ExpectSaslResponse();
    size_t consumed = 0;
    return dialogue_.OnInput(line, &consumed);
  }
  const DialogueOptions options_ = CarriedOptions();
  LoginDialogue dialogue_{&options_, true, ""};
};

TEST_F(CarriedExchange, AnswersGoOnAsTheyAre) {
  for (const std::string line : {"Yz1iaXdz", "", "AQ==", "*"}) {
    const Decision decision = Answer(line + "\r\n");
    EXPECT_EQ(decision.action, Action::kSaslResponse);
    EXPECT_EQ(decision.sasl_response.view(), line);
  }
  const std::string most(options_.sasl_bytes_max - 4, 'A');
  EXPECT_EQ(Answer(most + "\r\n").sasl_response.size(), most.size());
  // The line after the last answer is a command again.
  size_t consumed = 0;
  EXPECT_EQ(dialogue_.OnInput("NOOP\r\n", &consumed).reply, "+OK\r\n");
  EXPECT_EQ(dialogue_.bad_commands(), 0);
}

TEST_F(CarriedExchange, WhatIsNoAnswerEndsIt) {
  for (const std::string line : {"no base64", "QUIT now", "AQ=", "YQ==\rYQ==", "a\tb="}) {
    const Decision decision = Answer(line + "\r\n");
    EXPECT_EQ(decision.action, Action::kSaslAbort) << line;
    EXPECT_THAT(decision.reply, StartsWith("-ERR "));
  }
  EXPECT_EQ(dialogue_.bad_commands(), 5);
  EXPECT_EQ(Answer(std::string(options_.sasl_bytes_max, 'A')).reason, CloseReason::kLineTooLong);
}

TEST_F(CarriedExchange, TheLastOfTooManyEndsTheSession) {
  Decision decision;
  for (int i = 0; i < options_.bad_commands_max; ++i) decision = Answer("!\r\n");
  EXPECT_EQ(decision.action, Action::kClose);
  EXPECT_EQ(decision.reason, CloseReason::kTooManyBadCommands);
}

}  // namespace
}  // namespace postern::pop3
