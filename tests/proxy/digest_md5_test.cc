#include "proxy/digest_md5.h"

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tests/sim/digest_client.h"

namespace postern {
namespace {

constexpr char kRealm[] = "pop.example.net";

// The example of RFC 2831 section 4: the test's own client is right.
TEST(DigestClient, Rfc2831) {
  sim::DigestClient client;
  client.user = "chris";
  client.password = "secret";
  client.realm = "elwood.innosoft.com";
  client.nonce = "OA6MG9tEQGm2hh";
  client.uri = "imap/elwood.innosoft.com";
  EXPECT_TRUE(absl::StrContains(client.Answer(), "response=d388dad90d4bbd760a152321f2143af7"));
  EXPECT_EQ(client.ExpectedProof(), "rspauth=ea40f60335c427b5527b84dbabcdfffd");
}

class DigestMd5 : public ::testing::Test {
 protected:
  void SetUp() override {
#ifndef POSTERN_DIGEST_MD5
    ASSERT_EQ(DigestMd5Exchange::Begin(kRealm), nullptr);
    GTEST_SKIP() << "built without GNU SASL";
#endif
    Begin("anna@map.test", "secret");
  }
  void Begin(const std::string& user, const std::string& password) {
    exchange_ = DigestMd5Exchange::Begin(kRealm);
    ASSERT_NE(exchange_, nullptr);
    client_ = sim::DigestClient();
    client_.user = user;
    client_.password = password;
    client_.Hear(exchange_->challenge());
  }

  std::unique_ptr<DigestMd5Exchange> exchange_;
  sim::DigestClient client_;
};

TEST_F(DigestMd5, OffersAuthenticationOnly) {
  EXPECT_EQ(client_.realm, kRealm);
  EXPECT_GE(client_.nonce.size(), 16u);
  EXPECT_TRUE(absl::StrContains(exchange_->challenge(), "qop=\"auth\","));
  EXPECT_TRUE(absl::StrContains(exchange_->challenge(), "algorithm=md5-sess"));
  EXPECT_FALSE(absl::StrContains(exchange_->challenge(), "maxbuf"));
  EXPECT_NE(DigestMd5Exchange::Begin(kRealm)->challenge(), exchange_->challenge());
}

TEST_F(DigestMd5, TheRightSecret) {
  const std::string answer = client_.Answer();
  EXPECT_TRUE(exchange_->Verify(answer, "secret"));
  EXPECT_EQ(exchange_->proof(), client_.ExpectedProof());
  // A login that has waited asks again; nobody else may.
  EXPECT_TRUE(exchange_->Verify(answer, "secret"));
  EXPECT_FALSE(exchange_->Verify(answer, "other"));
  EXPECT_FALSE(exchange_->Verify(answer + ",x=y", "secret"));
}

TEST_F(DigestMd5, AWrongSecretHasNoSecondChance) {
  EXPECT_FALSE(exchange_->Verify(client_.Answer(), "other"));
  EXPECT_EQ(exchange_->proof(), "");
  EXPECT_FALSE(exchange_->Verify(client_.Answer(), "secret"));
}

TEST_F(DigestMd5, AnAnswerToAnotherChallenge) {
  const std::string answer = client_.Answer();
  Begin("anna@map.test", "secret");
  EXPECT_FALSE(exchange_->Verify(answer, "secret"));
}

TEST_F(DigestMd5, WhatWasNotOffered) {
  for (const auto& [from, to] : {std::pair<const char*, const char*>{"qop=auth", "qop=auth-int"},
                                 {"nc=00000001", "nc=00000002"},
                                 {"digest-uri=\"pop/", "digest-uri=\"imap/"},
                                 {"response=", "response=0"},
                                 {"nonce=\"", "nonce=\"x"}}) {
    Begin("anna@map.test", "secret");
    const std::string answer = absl::StrReplaceAll(client_.Answer(), {{from, to}});
    ASSERT_NE(answer, client_.Answer());
    EXPECT_FALSE(exchange_->Verify(answer, "secret")) << to;
  }
  Begin("anna@map.test", "secret");
  client_.nc = "00000002";
  EXPECT_FALSE(exchange_->Verify(client_.Answer(), "secret"));
  Begin("anna@map.test", "secret");
  EXPECT_FALSE(exchange_->Verify("", "secret"));
}

// RFC 2831 section 2.1.2.1: what fits into ISO 8859-1 counts in it.
TEST_F(DigestMd5, LettersBeyondAscii) {
  Begin("anna@map.test", "p\xe4ss");
  EXPECT_TRUE(exchange_->Verify(client_.Answer(), "p\xc3\xa4ss"));
  Begin("anna@map.test", "p\xe2\x82\xac\xc3\xa4ss");
  EXPECT_TRUE(exchange_->Verify(client_.Answer(), "p\xe2\x82\xac\xc3\xa4ss"));
  // No UTF-8 at all: as it is.
  Begin("anna@map.test", "p\xc3");
  EXPECT_TRUE(exchange_->Verify(client_.Answer(), "p\xc3"));
}

}  // namespace
}  // namespace postern
