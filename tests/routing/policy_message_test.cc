#include "routing/lookup/policy_message.h"

#include <array>
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::routing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using Kind = LookupAnswer::Kind;

PolicyLogin Login() {
  PolicyLogin login;
  login.user = "user@example.test";
  login.password_hash = "02a8";
  login.client = "2001:db8::1";
  login.session = "0123456789abcdef";
  login.tls = true;
  return login;
}

constexpr absl::string_view kFacts =
    R"({"device_id":"","login":"user@example.test","protocol":"pop3","pwhash":"02a8",)"
    R"("remote":"2001:db8::1","session_id":"0123456789abcdef")";

TEST(PolicyMessageTest, AllowHasTheFactsAlone) {
  EXPECT_EQ(PolicyAllowMessage(Login()), absl::StrCat(kFacts, R"(,"tls":true})"));
  PolicyLogin login = Login();
  login.tls = false;
  EXPECT_THAT(PolicyAllowMessage(login), EndsWith(R"(,"tls":false})"));
}

TEST(PolicyMessageTest, ReportSaysHowItWent) {
  const auto report = [](PolicyOutcome outcome) { return PolicyReportMessage(Login(), outcome); };
  EXPECT_EQ(report(PolicyOutcome::kAccepted),
            absl::StrCat(kFacts, R"(,"success":true,"policy_reject":false,"tls":true})"));
  EXPECT_EQ(report(PolicyOutcome::kRefused),
            absl::StrCat(kFacts, R"(,"success":false,"policy_reject":false,"tls":true})"));
  EXPECT_EQ(report(PolicyOutcome::kRejected),
            absl::StrCat(kFacts, R"(,"success":false,"policy_reject":true,"tls":true})"));
}

TEST(PolicyMessageTest, NamesStayInsideTheirString) {
  PolicyLogin login = Login();
  login.user = "a\"b\\c\",\"success\":true\x7f";
  EXPECT_THAT(PolicyAllowMessage(login), HasSubstr(R"("login":"a\"b\\c\",\"success\":true)"));
  // Latin-1 is no UTF-8.
  login.user = "m\xfcller";
  EXPECT_THAT(PolicyAllowMessage(login), HasSubstr("\"login\":\"m\xef\xbf\xbdller\""));
  login.user = "m\xc3\xbcller";
  EXPECT_THAT(PolicyAllowMessage(login), HasSubstr("\"login\":\"m\xc3\xbcller\""));
}

TEST(PolicyUrlTest, TheCommandIsPartOfTheQuery) {
  EXPECT_EQ(PolicyUrl("http://h:8084/", "allow"), "http://h:8084/?command=allow");
  EXPECT_EQ(PolicyUrl("http://h", "report"), "http://h?command=report");
  EXPECT_EQ(PolicyUrl("http://h/?a=b", "allow"), "http://h/?a=b&command=allow");
  EXPECT_EQ(PolicyUrl("http://h/?a=b&", "allow"), "http://h/?a=b&command=allow");
  EXPECT_EQ(PolicyUrl("http://h/?", "allow"), "http://h/?command=allow");
}

// Computed with Python's hashlib and whole numbers:
//   n = int.from_bytes(sha256(b"nonce" + b"user@example.test" + b"\0" + b"secret"), "big")
//   (n >> (256 - bits)).to_bytes((bits + 7) // 8, "big").hex()
TEST(PolicyPasswordHashTest, TheFirstBitsAtTheRightEnd) {
  const std::string bytes =
      absl::HexStringToBytes("2a8a11c5d032942d80d8e490202a161221074f3d7e139c0725d74e2f109b0359");
  std::array<char, 32> digest{};
  ASSERT_EQ(bytes.size(), digest.size());
  std::memcpy(digest.data(), bytes.data(), bytes.size());
  const std::pair<int, const char*> expected[] = {
      {1, "00"},
      {7, "15"},
      {8, "2a"},
      {9, "0055"},
      {12, "02a8"},
      {16, "2a8a"},
      {31, "154508e2"},
      {128, "2a8a11c5d032942d80d8e490202a1612"},
      {255, "154508e2e8194a16c06c724810150b091083a79ebf09ce0392eba717884d81ac"},
      {0, "2a8a11c5d032942d80d8e490202a161221074f3d7e139c0725d74e2f109b0359"},
  };
  for (const auto& [bits, hash] : expected) {
    EXPECT_EQ(PolicyPasswordHash(digest, bits), hash) << bits;
  }
}

TEST(PolicyReplyTest, ZeroGoesOn) {
  for (const char* body : {R"({"status":0,"msg":""})", R"( { "msg" : null, "status" : 0 } )",
                           R"({"status":0,"r_attrs":{"a":[1,{}]}})", R"({"status":-0})"}) {
    const LookupAnswer answer = ReadPolicyReply(body);
    EXPECT_EQ(answer.kind, Kind::kFound) << body;
    EXPECT_FALSE(answer.wait.has_value()) << body;
    EXPECT_EQ(answer.detail, "") << body;
  }
}

TEST(PolicyReplyTest, BelowZeroRefuses) {
  const LookupAnswer answer = ReadPolicyReply(R"({"status":-1,"msg":"too\r\n many"})");
  EXPECT_EQ(answer.kind, Kind::kForbidden);
  EXPECT_EQ(answer.detail, "too\\x0d\\x0a many");
  // No words of its own for the client: it must not learn why.
  EXPECT_EQ(answer.refusal, "");
  EXPECT_EQ(ReadPolicyReply(R"({"status":-9223372036854775808})").kind, Kind::kForbidden);
}

TEST(PolicyReplyTest, AboveZeroWaits) {
  EXPECT_EQ(ReadPolicyReply(R"({"status":5})").wait, 5 * kSecond);
  EXPECT_EQ(ReadPolicyReply(R"({"status":86401})").wait, 86400 * kSecond);
  EXPECT_EQ(ReadPolicyReply(R"({"status":9223372036854775807})").wait, 86400 * kSecond);
  EXPECT_EQ(ReadPolicyReply(R"({"status":18446744073709551615})").wait, 86400 * kSecond);
}

TEST(PolicyReplyTest, TheRestIsNoAnswer) {
  const std::string deep(1000, '[');
  const std::string large = absl::StrCat(R"({"status":0,"msg":")", std::string(20000, 'x'), "\"}");
  for (const std::string& body : std::initializer_list<std::string>{
           "", "0", "null", "[]", "{}", "<html>", R"({"status":"0"})", R"({"status":0.0})",
           R"({"status":null})", R"({"status":true})", R"({"status":0)", R"({"status":0}})",
           R"({"status":1e999})", R"({"Status":0})", R"({"a":{"status":0}})", deep,
           "{\"status\":0,\"a\":" + deep, large}) {
    EXPECT_EQ(ReadPolicyReply(body).kind, Kind::kTemporary) << body.substr(0, 60);
    EXPECT_NE(ReadPolicyReply(body).detail, "") << body.substr(0, 60);
  }
}

TEST(PolicyReplyTest, WordsAreCut) {
  const LookupAnswer answer =
      ReadPolicyReply(absl::StrCat(R"({"status":-1,"msg":")", std::string(5000, 'x'), "\"}"));
  EXPECT_EQ(answer.kind, Kind::kForbidden);
  EXPECT_LE(answer.detail.size(), 203u);
  EXPECT_THAT(answer.detail, EndsWith("..."));
}

}  // namespace
}  // namespace postern::routing
