// AUTH EXTERNAL, and what a listener's offer changes in the dialogue.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/pop3/sasl.h"

namespace postern::pop3 {
namespace {

using std::string_literals::operator""s;
using testing::HasSubstr;
using testing::Not;

class External : public testing::Test {
 protected:
  External() {
    options_.mechanisms = {Mechanism::kPlain, Mechanism::kExternal};
    dialogue_ = std::make_unique<LoginDialogue>(&options_, true, "");
  }

  Decision Say(absl::string_view line) {
    size_t consumed = 0;
    return dialogue_->OnInput(absl::StrCat(line, "\r\n"), &consumed);
  }

  DialogueOptions options_;
  std::unique_ptr<LoginDialogue> dialogue_;
};

TEST_F(External, IsThereForThoseWithACertificateOnly) {
  EXPECT_THAT(Say("CAPA").reply, HasSubstr("SASL PLAIN\r\n"));
  EXPECT_THAT(Say("AUTH").reply, Not(HasSubstr("EXTERNAL")));
  EXPECT_EQ(Say("AUTH EXTERNAL =").reply, "-ERR Unknown mechanism\r\n");
  dialogue_->SetCertificateUser("anna");
  EXPECT_THAT(Say("CAPA").reply, HasSubstr("SASL PLAIN EXTERNAL\r\n"));
  EXPECT_THAT(Say("AUTH").reply, HasSubstr("EXTERNAL\r\n"));
}

TEST_F(External, TheCertificateIsTheUser) {
  dialogue_->SetCertificateUser("anna");
  for (const std::string& id : {std::string(), std::string("anna")}) {
    const std::string response = id.empty() ? "=" : EncodeBase64(id);
    for (const bool at_once : {true, false}) {
      Decision decision;
      if (at_once) {
        decision = Say(absl::StrCat("AUTH EXTERNAL ", response));
      } else {
        EXPECT_EQ(Say("auth external").reply, "+ \r\n");
        decision = Say(id.empty() ? "" : response);
      }
      ASSERT_EQ(decision.action, Action::kLogin) << decision.reply;
      EXPECT_EQ(decision.credentials.user, "anna");
      EXPECT_TRUE(decision.credentials.by_certificate());
      EXPECT_TRUE(decision.credentials.password.empty());
      EXPECT_FALSE(decision.credentials.carried() || decision.credentials.shows_digest());
      EXPECT_EQ(decision.credentials.method_name(), "auth_external");
    }
  }
}

TEST_F(External, NobodyActsForAnother) {
  dialogue_->SetCertificateUser("anna");
  for (const std::string& id : {"bert"s, "Anna"s, "anna "s, "ann"s, "anna@example.org"s}) {
    EXPECT_EQ(Say(absl::StrCat("AUTH EXTERNAL ", EncodeBase64(id))).reply,
              "-ERR An authorization identity of another user is not accepted\r\n");
  }
}

TEST_F(External, BadResponses) {
  options_.bad_commands_max = 100;
  dialogue_->SetCertificateUser("anna");
  for (const std::string& id : {"anna\0"s, "anna\0bert"s, "an\r\nna"s, "\x7f"s, "\0"s}) {
    EXPECT_EQ(Say(absl::StrCat("AUTH EXTERNAL ", EncodeBase64(id))).reply,
              "-ERR Malformed authorization identity\r\n");
  }
  for (const std::string& text : {"!"s, "YQ"s, "YW5u YQ=="s, "YW5uYQ==="s, "=="s}) {
    EXPECT_EQ(Say(absl::StrCat("AUTH EXTERNAL ", text)).reply, "-ERR Not valid base64\r\n") << text;
  }
  EXPECT_EQ(Say("AUTH EXTERNAL").reply, "+ \r\n");
  EXPECT_EQ(Say("*").reply, "-ERR Cancelled\r\n");
  // What answers nothing is a command again.
  EXPECT_EQ(Say("YW5uYQ==").reply, "-ERR Unknown command\r\n");
  EXPECT_EQ(Say(absl::StrCat("AUTH EXTERNAL ", std::string(options_.sasl_bytes_max, 'A'))).action,
            Action::kClose);
}

TEST_F(External, OnlyWithTls) {
  dialogue_ = std::make_unique<LoginDialogue>(&options_, false, "");
  dialogue_->SetCertificateUser("anna");
  EXPECT_EQ(Say("AUTH EXTERNAL =").reply, "-ERR Logins are not accepted without TLS\r\n");
}

TEST(Offer, ReplacesTheLinesAndWithholdsMechanisms) {
  DialogueOptions options;
  options.mechanisms = {Mechanism::kPlain, Mechanism::kXoauth2, Mechanism::kScramSha256};
  LoginDialogue dialogue(&options, true, "");
  auto offer = std::make_shared<Offer>();
  offer->capabilities = {"TOP", "EXPIRE 5 USER"};
  offer->withheld = {Mechanism::kXoauth2};
  dialogue.SetOffer(offer);
  size_t consumed = 0;
  EXPECT_EQ(dialogue.OnInput("CAPA\r\n", &consumed).reply,
            "+OK Capability list follows\r\nTOP\r\nUSER\r\nSASL PLAIN SCRAM-SHA-256\r\n"
            "EXPIRE 5 USER\r\n.\r\n");
  EXPECT_EQ(dialogue.OnInput("AUTH\r\n", &consumed).reply,
            "+OK Mechanism list follows\r\nPLAIN\r\nSCRAM-SHA-256\r\n.\r\n");
  EXPECT_EQ(dialogue.OnInput("AUTH XOAUTH2\r\n", &consumed).reply, "-ERR Unknown mechanism\r\n");
  EXPECT_EQ(dialogue.OnInput("AUTH SCRAM-SHA-256\r\n", &consumed).reply, "+ \r\n");
}

// Before the login there is no backend that could obey them, and afterwards it is too late (RFC
// 6856 sections 2 and 3): so they are neither promised nor taken.
TEST(Offer, Utf8AndLangAreNotForAProxy) {
  DialogueOptions options;
  LoginDialogue dialogue(&options, true, "");
  auto offer = std::make_shared<Offer>();
  offer->capabilities = {"UTF8 USER", "LANG"};
  dialogue.SetOffer(offer);
  size_t consumed = 0;
  EXPECT_EQ(dialogue.OnInput("CAPA\r\n", &consumed).reply,
            "+OK Capability list follows\r\nUSER\r\nSASL PLAIN LOGIN\r\n.\r\n");
  for (const absl::string_view command : {"UTF8\r\n", "LANG\r\n", "LANG es\r\n"}) {
    EXPECT_EQ(dialogue.OnInput(command, &consumed).reply, "-ERR Unknown command\r\n");
  }
}

}  // namespace
}  // namespace postern::pop3
