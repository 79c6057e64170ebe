#include "proxy/repeated_secret.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

UpstreamAttempt Attempt() {
  return UpstreamAttempt(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
}

TEST(RepeatedSecretTest, APasswordInWholeOrAsACommandInPart) {
  UpstreamAttempt attempt = Attempt();
  attempt.user = "alice";
  attempt.password = "correct horse";
  EXPECT_TRUE(RepeatsSecret(attempt, "-ERR what is CORRECT HORSE?"));
  EXPECT_TRUE(RepeatsSecret(attempt, "-ERR unknown command: PASS corr"));
  EXPECT_TRUE(RepeatsSecret(attempt, "-ERR AGFsaWNlAGNvcnJlY3QgaG9yc2U="));
  EXPECT_FALSE(RepeatsSecret(attempt, "-ERR [AUTH] no"));
  EXPECT_FALSE(RepeatsSecret(attempt, ""));
}

TEST(RepeatedSecretTest, ADigest) {
  UpstreamAttempt attempt = Attempt();
  attempt.apop_digest = "c4c9334bac560ecc979e58001b3e22fb";
  EXPECT_TRUE(RepeatsSecret(attempt, "-ERR APOP a C4C9334BAC560ECC979E58001B3E22FB"));
  EXPECT_FALSE(RepeatsSecret(attempt, "-ERR [AUTH] no"));
}

TEST(RepeatedSecretTest, AnEmptyPasswordIsInNoAnswer) {
  UpstreamAttempt attempt = Attempt();
  attempt.user = "alice";
  EXPECT_FALSE(RepeatsSecret(attempt, "-ERR [AUTH] no"));
}

TEST(RepeatedSecretTest, ATokenAndAProof) {
  UpstreamAttempt attempt = Attempt();
  attempt.mechanism = "XOAUTH2";
  const std::string token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
  const std::string first =
      absl::Base64Escape(absl::StrCat("user=alice\x01", "auth=Bearer ", token, "\x01\x01"));
  attempt.sasl_message = first;
  EXPECT_FALSE(RepeatsSecret(attempt, "-ERR [AUTH] token"));
  EXPECT_TRUE(RepeatsSecret(attempt, absl::StrCat("-ERR bad token ", token)));
  EXPECT_TRUE(RepeatsSecret(attempt, absl::StrCat("-ERR unknown: AUTH XOAUTH2 ", first)));
  EXPECT_TRUE(RepeatsSecret(attempt, absl::StrCat("-ERR ", first.substr(0, 40))));

  const std::string scram = absl::Base64Escape("n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL");
  const std::string final = absl::Base64Escape("c=biws,r=fyko3rfc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
  attempt.mechanism = "SCRAM-SHA-1";
  attempt.sasl_message = scram;
  attempt.sasl_response = final;
  EXPECT_FALSE(RepeatsSecret(attempt, "-ERR [AUTH] bad proof"));
  EXPECT_TRUE(RepeatsSecret(attempt, "-ERR bad proof v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
  EXPECT_TRUE(RepeatsSecret(attempt, absl::StrCat("-ERR what? ", final)));
}

}  // namespace
}  // namespace postern
