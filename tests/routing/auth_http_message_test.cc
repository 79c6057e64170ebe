#include "routing/lookup/auth_http_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace postern::routing {
namespace {

using Kind = LookupAnswer::Kind;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Request(const LookupQuestion& question,
                                 const std::vector<std::pair<std::string, std::string>>& more = {},
                                 bool whole = false) {
  std::vector<Secret> lines;
  AuthHttpExtras extras;
  extras.headers = more;
  extras.client_certificate = whole;
  EXPECT_TRUE(AuthHttpRequest(question, extras, &lines).ok());
  std::vector<std::string> text;
  for (const Secret& line : lines) text.emplace_back(line.view());
  return text;
}

LookupQuestion Plain() {
  LookupQuestion question;
  question.user = "user@example.org";
  question.method = "plain";
  question.password = Secret("pass word%20");
  question.client_ip = "2001:db8::1";
  question.attempt = 2;
  return question;
}

LookupAnswer Read(absl::string_view head, bool strict = false, bool percent = false) {
  AuthHttpRules rules;
  rules.strict = strict;
  rules.percent = percent;
  return ReadAuthHttpReply(head, rules);
}

TEST(AuthHttpRequestTest, LinesInTheOrderOfNginx) {
  EXPECT_THAT(Request(Plain()), ElementsAre("Auth-Method: plain", "Auth-User: user@example.org",
                                            "Auth-Pass: pass%20word%2520", "Auth-Protocol: pop3",
                                            "Auth-Login-Attempt: 2", "Client-IP: 2001:db8::1"));
  LookupQuestion apop = Plain();
  apop.method = "apop";
  apop.password.Wipe();
  apop.digest = Secret("0123456789abcdef0123456789abcdef");
  apop.challenge = "<12.34@pop.example.net>";
  apop.tls = true;
  apop.tls_version = "TLSv1.3";
  apop.tls_cipher = "TLS_AES_128_GCM_SHA256";
  EXPECT_THAT(Request(apop, {{"X-Auth-Key", "k"}}),
              ElementsAre("Auth-Method: apop", "Auth-User: user@example.org",
                          "Auth-Pass: 0123456789abcdef0123456789abcdef",
                          "Auth-Salt: <12.34@pop.example.net>", "Auth-Protocol: pop3",
                          "Auth-Login-Attempt: 2", "Client-IP: 2001:db8::1", "Auth-SSL: on",
                          "Auth-SSL-Protocol: TLSv1.3", "Auth-SSL-Cipher: TLS_AES_128_GCM_SHA256",
                          "X-Auth-Key: k"));
}

TEST(AuthHttpRequestTest, TheClientsCertificate) {
  LookupQuestion question = Plain();
  question.tls = true;
  question.certificate.wanted = true;
  std::vector<std::string> lines = Request(question);
  EXPECT_EQ(lines.back(), "Auth-SSL-Verify: NONE");
  question.certificate.subject = "CN=anna,O=A \\C3\\A4";
  question.certificate.issuer = "CN=clients";
  question.certificate.serial = "1F0A";
  question.certificate.fingerprint = "0123456789abcdef0123456789abcdef01234567";
  question.certificate.pem = "-----BEGIN CERTIFICATE-----\nab+/=\n-----END CERTIFICATE-----\n";
  lines = Request(question, {{"X-Last", "1"}}, /*whole=*/true);
  lines.erase(lines.begin(), lines.begin() + 7);
  EXPECT_THAT(lines,
              ElementsAre("Auth-SSL-Verify: SUCCESS", "Auth-SSL-Subject: CN=anna,O=A \\C3\\A4",
                          "Auth-SSL-Issuer: CN=clients", "Auth-SSL-Serial: 1F0A",
                          "Auth-SSL-Fingerprint: 0123456789abcdef0123456789abcdef01234567",
                          "Auth-SSL-Cert: -----BEGIN%20CERTIFICATE-----%0Aab+/=%0A-----END%20"
                          "CERTIFICATE-----%0A",
                          "X-Last: 1"));
  EXPECT_THAT(Request(question), Not(Contains(HasSubstr("Auth-SSL-Cert"))));
  // Nobody was asked for one.
  question.certificate.wanted = false;
  EXPECT_THAT(Request(question, {}, true), Not(Contains(HasSubstr("Auth-SSL-Verify"))));
}

TEST(AuthHttpRequestTest, WhomAProxyHeaderNamed) {
  LookupQuestion question = Plain();
  question.proxied_from = *SocketAddress::Parse("[2001:db8::7]:4711");
  question.proxied_to = *SocketAddress::Parse("[2001:db8::1]:995");
  question.tls = true;
  std::vector<std::string> lines = Request(question);
  lines.erase(lines.begin(), lines.begin() + 6);
  EXPECT_THAT(lines, ElementsAre("Proxy-Protocol-Addr: 2001:db8::7", "Proxy-Protocol-Port: 4711",
                                 "Proxy-Protocol-Server-Addr: 2001:db8::1",
                                 "Proxy-Protocol-Server-Port: 995", "Auth-SSL: on"));
}

TEST(AuthHttpRequestTest, EscapesWhatNginxEscapes) {
  EXPECT_EQ(EscapeAuthHttp("a b%c+d"), "a%20b%25c+d");
  EXPECT_EQ(EscapeAuthHttp(absl::string_view("\0\r\n\x1f", 4)), "%00%0D%0A%1F");
  EXPECT_EQ(EscapeAuthHttp("\xc3\xa4/?&\"<>"), "\xc3\xa4/?&\"<>");
}

TEST(AuthHttpRequestTest, NoLineEndGetsIntoAHeader) {
  LookupQuestion question = Plain();
  question.user = "a\r\nAuth-Method: none";
  question.password = Secret("b\r\n\r\nGET /");
  for (const std::string& line : Request(question)) {
    EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos) << line;
  }
  std::vector<Secret> lines;
  for (std::string LookupQuestion::*const field :
       {&LookupQuestion::method, &LookupQuestion::challenge, &LookupQuestion::client_ip,
        &LookupQuestion::tls_version, &LookupQuestion::tls_cipher}) {
    LookupQuestion bad = Plain();
    bad.tls = true;
    bad.*field = "x\r\nAuth-User: root";
    EXPECT_FALSE(AuthHttpRequest(bad, {}, &lines).ok());
    EXPECT_TRUE(lines.empty());
  }
  for (std::string LookupCertificate::*const field :
       {&LookupCertificate::subject, &LookupCertificate::issuer, &LookupCertificate::serial,
        &LookupCertificate::fingerprint}) {
    LookupQuestion bad = Plain();
    bad.tls = bad.certificate.wanted = true;
    bad.certificate.*field = "x\r\nAuth-User: root";
    EXPECT_FALSE(AuthHttpRequest(bad, {}, &lines).ok());
    EXPECT_TRUE(lines.empty());
  }
  question = Plain();
  question.user = "a\x7f";
  EXPECT_FALSE(AuthHttpRequest(question, {}, &lines).ok());
}

TEST(AuthHttpReplyTest, AnAddress) {
  const LookupAnswer reply = Read(
      "HTTP/1.0 200 OK\r\nServer: x\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.1\r\n"
      "Auth-Port: 110\r\n\r\n");
  EXPECT_EQ(reply.kind, Kind::kFound);
  EXPECT_EQ(reply.target, "192.0.2.1:110");
  EXPECT_FALSE(reply.login_secret.has_value());
  EXPECT_EQ(
      Read("HTTP/1.1 200 OK\nauth-status:OK\nAUTH-SERVER:   2001:db8::1  \nauth-port: 995\n\n")
          .target,
      "[2001:db8::1]:995");
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nAuth-Server: [2001:db8::1]\r\nAuth-Port: 995\r\n").target,
            "[2001:db8::1]:995");
}

// What services rely on: neither the status code nor Auth-Status is needed.
TEST(AuthHttpReplyTest, StatusCodeAndMissingStatus) {
  for (const char* first : {"HTTP/1.0 204 No Content\r\n", "HTTP/1.1 500 Oh\r\n",
                            "HTTP/1.1 404\r\n", "HTTP/rubbish\r\n", ""}) {
    const LookupAnswer reply =
        Read(absl::StrCat(first, "Auth-Server: 192.0.2.1\r\nAuth-Port: 110\r\n\r\n"));
    EXPECT_EQ(reply.kind, Kind::kFound) << first;
  }
}

TEST(AuthHttpReplyTest, NamesAndTheRoutesOwnTarget) {
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: mail-7.b_c\r\n\r\n").target,
            "mail-7.b_c");
  const LookupAnswer own = Read("HTTP/1.1 204 x\r\nAuth-Status: OK\r\n\r\n");
  EXPECT_EQ(own.kind, Kind::kFound);
  EXPECT_EQ(own.target, "");
  // An error page is no yes.
  EXPECT_EQ(Read("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n").kind,
            Kind::kTemporary);
}

TEST(AuthHttpReplyTest, UserAndPassword) {
  const char* head =
      "HTTP/1.1 200 OK\r\nAuth-Server: mail1\r\nAuth-User: other%40x\r\nAuth-Pass: a%20b \r\n\r\n";
  LookupAnswer reply = Read(head);
  EXPECT_EQ(reply.login_user, "other%40x");
  EXPECT_EQ(reply.login_secret->view(), "a%20b");
  reply = Read(head, false, true);
  EXPECT_EQ(reply.login_user, "other@x");
  EXPECT_EQ(reply.login_secret->view(), "a b");
  for (const char* bad : {"Auth-User: a%0d%0aDELE 1", "Auth-Pass: a%00", "Auth-Pass: %7f"}) {
    EXPECT_EQ(Read(absl::StrCat("Auth-Status: OK\r\n", bad, "\r\n\r\n"), false, true).kind,
              Kind::kTemporary)
        << bad;
  }
  EXPECT_EQ(Read("Auth-Status: OK\r\nAuth-Pass: a\tb\r\n\r\n").kind, Kind::kTemporary);
}

TEST(AuthHttpReplyTest, NoSecretInTheDetail) {
  const LookupAnswer reply = Read("Auth-Status: OK\r\nAuth-Pass: sesame\r\n\r\n");
  EXPECT_EQ(reply.detail, "OK, with Auth-Pass");
}

TEST(AuthHttpReplyTest, Refusals) {
  LookupAnswer reply =
      Read("HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\nAuth-Wait: 3\r\n\r\n");
  EXPECT_EQ(reply.kind, Kind::kForbidden);
  EXPECT_EQ(reply.refusal, "Invalid login or password");
  EXPECT_EQ(reply.wait, 3 * kSecond);
  reply = Read("Auth-Status: [SYS/TEMP] being moved\r\n\r\n");
  EXPECT_EQ(reply.kind, Kind::kTemporary);
  EXPECT_EQ(reply.refusal, "[SYS/TEMP] being moved");
  reply = Read("Auth-Status: [sys/Temp] being moved\r\nAuth-Wait: 2\r\n\r\n");
  EXPECT_EQ(reply.kind, Kind::kTemporary);
  EXPECT_EQ(reply.refusal, "[sys/Temp] being moved");
  EXPECT_EQ(reply.wait, 2 * kSecond);
  EXPECT_EQ(Read("Auth-Status: ok\r\n\r\n").kind, Kind::kForbidden);
  EXPECT_FALSE(Read("Auth-Status: no\r\nAuth-Wait: soon\r\n\r\n").wait.has_value());
  // The last of two counts.
  EXPECT_EQ(Read("Auth-Status: OK\r\nAuth-Server: m\r\nAuth-Status: no\r\n\r\n").kind,
            Kind::kForbidden);
  const std::string words =
      Read(absl::StrCat("Auth-Status: a\x1b[1mb", std::string(1000, 'x'), "\r\n\r\n")).refusal;
  EXPECT_EQ(words.substr(0, 5), "a[1mb");
  EXPECT_LE(words.size(), 400u);
}

TEST(AuthHttpReplyTest, Wait) {
  LookupAnswer reply = Read("Auth-Status: WAIT\r\nAuth-Wait: 5\r\n\r\n");
  EXPECT_EQ(reply.kind, Kind::kWait);
  EXPECT_EQ(reply.wait, 5 * kSecond);
  reply = Read("Auth-Status: WAIT\r\n\r\n");
  EXPECT_EQ(reply.kind, Kind::kWait);
  EXPECT_EQ(reply.wait, 0);
}

TEST(AuthHttpReplyTest, Strict) {
  const std::string rest = "Auth-Status: OK\r\nAuth-Server: mail1\r\n\r\n";
  const auto kind = [&](absl::string_view status) {
    return Read(absl::StrCat("HTTP/1.1 ", status, "\r\n", rest), true).kind;
  };
  EXPECT_EQ(kind("200 OK"), Kind::kFound);
  EXPECT_EQ(kind("204 No Content"), Kind::kFound);
  EXPECT_EQ(kind("401 Unauthorized"), Kind::kForbidden);
  EXPECT_EQ(kind("403 Forbidden"), Kind::kForbidden);
  EXPECT_EQ(kind("404 Not Found"), Kind::kUnknown);
  EXPECT_EQ(kind("429 Too Many"), Kind::kTemporary);
  EXPECT_EQ(kind("302 Found"), Kind::kTemporary);
  EXPECT_EQ(kind("503 Oh"), Kind::kTemporary);
  EXPECT_EQ(Read(rest, true).kind, Kind::kTemporary);
  EXPECT_EQ(Read("HTTP/1.1 403 F\r\nAuth-Status: Locked\r\n\r\n", true).refusal, "Locked");
}

TEST(AuthHttpReplyTest, WhatIsNoReply) {
  for (const std::string& head : std::vector<std::string>{
           "", "\r\n", "HTTP/1.1 200 OK\r\n\r\n", "rubbish", "a b: c\r\n", ": x\r\n",
           " Auth-Status: OK\r\n", "Auth-Status: OK\r\n Auth-Server: m\r\n",
           "Auth-Server: 192.0.2.1\r\n\r\n", "Auth-Server: 192.0.2.1\r\nAuth-Port: 0\r\n\r\n",
           "Auth-Server: 192.0.2.1\r\nAuth-Port: 65536\r\n\r\n",
           "Auth-Server: 192.0.2.1\r\nAuth-Port: -1\r\n\r\n",
           "Auth-Server: 192.0.2.1\r\nAuth-Port: +110\r\n\r\n",
           "Auth-Server: 192.0.2.1\r\nAuth-Port: abc\r\n\r\n",
           "Auth-Server: \r\nAuth-Port: 110\r\n\r\n", "Auth-Server: a b\r\nAuth-Port: 110\r\n\r\n",
           "Auth-Server: unix:/run/x\r\nAuth-Port: 110\r\n\r\n",
           absl::StrCat("Auth-Status: OK\r\nX: ", std::string(70000, 'x'), "\r\n\r\n")}) {
    const LookupAnswer reply = Read(head);
    EXPECT_EQ(reply.kind, Kind::kTemporary) << head.substr(0, 80);
    EXPECT_EQ(reply.refusal, "") << head.substr(0, 80);
    EXPECT_NE(reply.detail, "") << head.substr(0, 80);
  }
}

TEST(AuthHttpReplyTest, HowLongItMayBeRemembered) {
  const auto ttl = [](absl::string_view value) {
    return Read(absl::StrCat("Auth-Status: OK\r\nCache-Control: ", value, "\r\n\r\n")).ttl;
  };
  EXPECT_EQ(ttl("max-age=5"), 5 * kSecond);
  EXPECT_EQ(ttl("no-store"), 0);
  EXPECT_EQ(ttl("private"), std::nullopt);
  EXPECT_EQ(ttl("max-age=x"), std::nullopt);
}

}  // namespace
}  // namespace postern::routing
