#include "proxy/pop3/digest_response.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/pop3/sasl.h"

namespace postern::pop3 {
namespace {

constexpr char kGood[] =
    "username=\"anna@map.test\",realm=\"pop.example.net\",nonce=\"OA6MG9tEQGm2hh\",nc=00000001,"
    "cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"pop/pop.example.net\",qop=auth,"
    "response=d388dad90d4bbd760a152321f2143af7,charset=utf-8";

std::string With(absl::string_view old_part, absl::string_view new_part) {
  const std::string changed = absl::StrReplaceAll(kGood, {{old_part, new_part}});
  EXPECT_NE(changed, kGood) << old_part;
  return changed;
}

TEST(DigestResponse, NamesTheUser) {
  std::optional<DigestResponse> response = ReadDigestResponse(kGood);
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->user, "anna@map.test");
  EXPECT_EQ(response->authorization_id, "");
  EXPECT_EQ(response->realm, "pop.example.net");
  response = ReadDigestResponse(
      With("username=\"anna@map.test\"", " , USERNAME = \"a\\\"n\\\\na\" , authzid=\"bert\""));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->user, "a\"n\\na");
  EXPECT_EQ(response->authorization_id, "bert");
  EXPECT_EQ(ReadDigestResponse(With("anna", "\xc3\xa4nna"))->user, "\xc3\xa4nna@map.test");
  EXPECT_TRUE(ReadDigestResponse(With(",qop=auth", "")).has_value());
  EXPECT_TRUE(ReadDigestResponse(With("realm=\"pop.example.net\",", "")).has_value());
  EXPECT_TRUE(ReadDigestResponse(With("\"pop/", "\"POP/")).has_value());
  EXPECT_TRUE(ReadDigestResponse(absl::StrCat(kGood, ", ,,")).has_value());
}

TEST(DigestResponse, Malformed) {
  const std::vector<std::string> bad = {
      "",
      " ",
      ",",
      "username",
      "username=",
      "username=\"anna",
      "username=\"anna\\",
      "=\"anna\"",
      kGood + std::string("x\""),
      kGood + std::string(" x"),
      kGood + std::string(",x=\"\"y"),
      kGood + std::string(",username=\"bert\""),
      kGood + std::string(",UserName=bert"),
      With("anna@map.test", ""),
      With("anna@map.test", "  "),
      With("anna@map.test", "anna\tb"),
      With("anna@map.test", std::string("a\0b", 3)),
      With("username", "usernamf"),
      With("nonce=\"OA6MG", "nunce=\"OA6MG"),
      With("cnonce", "conce"),
      With("nc=", "nd="),
      With("digest-uri", "uri"),
      With("response=", "respond="),
      With("qop=auth", "qop=auth-int"),
      With("qop=auth", "qop=auth-conf"),
      With("\"pop/", "\"imap/"),
      With("\"pop/", "\"pop"),
      // In ISO 8859-1 it would be another name.
      absl::StrReplaceAll(With("anna", "\xe4nna"), {{",charset=utf-8", ""}}),
      kGood + std::string(",x=") + std::string(kDigestResponseBytesMax, 'y'),
  };
  for (const std::string& message : bad) {
    EXPECT_FALSE(ReadDigestResponse(message).has_value()) << message;
  }
}

Decision Answer(const std::string& message, const std::string& hostname = "pop.example.net") {
  DialogueOptions options;
  options.hostname = hostname;
  options.plaintext_logins = true;
  options.mechanisms = {Mechanism::kDigestMd5};
  LoginDialogue dialogue(&options, /*tls_active=*/false, "");
  size_t consumed = 0;
  EXPECT_EQ(dialogue.OnInput("AUTH digest-md5\r\n", &consumed).action, Action::kDigestChallenge);
  EXPECT_EQ(dialogue.OnDigestChallenge("realm=\"x\""), "+ cmVhbG09Ingi\r\n");
  Decision decision = dialogue.OnInput(absl::StrCat(EncodeBase64(message), "\r\n"), &consumed);
  // The challenge is used up, whatever the answer was.
  EXPECT_EQ(dialogue.OnInput("YQ==\r\n", &consumed).reply, "-ERR Unknown command\r\n");
  return decision;
}

TEST(DigestDialogue, GivesTheWholeMessageOn) {
  const Decision decision = Answer(kGood);
  ASSERT_EQ(decision.action, Action::kLogin) << decision.reply;
  EXPECT_EQ(decision.credentials.user, "anna@map.test");
  EXPECT_EQ(decision.credentials.digest.view(), kGood);
  EXPECT_EQ(decision.credentials.method_name(), "auth_digest_md5");
  EXPECT_TRUE(decision.credentials.shows_digest() && decision.credentials.by_digest_md5());
  EXPECT_EQ(Answer(absl::StrCat(kGood, ",authzid=\"anna@map.test\"")).action, Action::kLogin);
}

TEST(DigestDialogue, Refuses) {
  EXPECT_EQ(Answer("username=\"anna\"").reply, "-ERR Malformed DIGEST-MD5 response\r\n");
  // A realm that was not offered.
  EXPECT_EQ(Answer(kGood, "other.example.net").reply, "-ERR Malformed DIGEST-MD5 response\r\n");
  EXPECT_EQ(Answer(With("anna", std::string(2000, 'a'))).reply,
            "-ERR Malformed DIGEST-MD5 response\r\n");
  EXPECT_EQ(Answer(absl::StrCat(kGood, ",authzid=\"bert\"")).reply,
            "-ERR An authorization identity of another user is not accepted\r\n");
}

TEST(DigestDialogue, BeginsWithOurChallenge) {
  DialogueOptions options;
  options.plaintext_logins = true;
  options.mechanisms = {Mechanism::kDigestMd5};
  LoginDialogue dialogue(&options, /*tls_active=*/false, "");
  size_t consumed = 0;
  EXPECT_EQ(dialogue.OnInput("AUTH DIGEST-MD5 YQ==\r\n", &consumed).reply,
            "-ERR DIGEST-MD5 begins with our challenge\r\n");
  EXPECT_EQ(dialogue.OnInput("AUTH DIGEST-MD5 =\r\n", &consumed).action, Action::kDigestChallenge);
}

}  // namespace
}  // namespace postern::pop3
