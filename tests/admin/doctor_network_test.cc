// What the doctor says of a backend, for everything that can be found there.
#include "proxy/admin/doctor_network.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kNow = 1'800'000'000;
constexpr int64_t kDay = 86400;

class TellBackendTest : public ::testing::Test {
 protected:
  TellBackendTest() {
    backend_.name = "mail1";
    backend_.address.host = "10.0.0.11";
    backend_.address.port = 110;
    findings_.answer.verdict.kind = UpstreamVerdict::Kind::kAccepted;
    findings_.answer.greeting = "+OK ready";
    findings_.answer.local = SocketAddress::Parse("10.0.0.5:40000").value();
    findings_.answer.took = 12 * kMillisecond;
    Say({"TOP", "UIDL", "USER", "SASL PLAIN LOGIN", "PIPELINING"});
  }

  void Say(pop3::CapabilityLines lines) {
    findings_.capabilities = std::make_shared<const pop3::CapabilityLines>(std::move(lines));
  }
  void Fail(metrics::UpstreamError error, const std::string& detail) {
    findings_.answer.verdict.kind = UpstreamVerdict::Kind::kFailed;
    findings_.answer.verdict.error = error;
    findings_.answer.verdict.detail = "mail1: " + detail;
  }
  // In one line each, so that no test knows where lines are broken.
  std::string Told() {
    std::string text;
    DoctorReport report([&text](absl::string_view part) { text.append(part.data(), part.size()); });
    TellBackend(config_, backend_, SocketAddress::Parse("10.0.0.11:110").value(), findings_, kNow,
                &report);
    problems_ = report.problems();
    warnings_ = report.warnings();
    return absl::StrReplaceAll(text, {{"\n            ", " "}, {"\n         ", " "}});
  }

  config::Config config_;
  config::Backend backend_;
  BackendFindings findings_;
  int problems_ = 0;
  int warnings_ = 0;
};

TEST_F(TellBackendTest, AllIsWell) {
  EXPECT_EQ(Told(), "  ok     mail1 (10.0.0.11:110): answers in 12 ms, plain\n");
  backend_.address.host = "mail1.example.net";
  findings_.answer.tls_version = "TLSv1.3";
  findings_.answer.certificate.emplace();
  findings_.answer.certificate->not_after_unix = kNow + 100 * kDay;
  EXPECT_THAT(Told(), HasSubstr("mail1 (10.0.0.11:110, mail1.example.net:110): answers in 12 ms, "
                                "TLSv1.3, certificate until 2027-04-25, 100 days\n"));
  EXPECT_EQ(problems_ + warnings_, 0);
}

TEST_F(TellBackendTest, FailuresAndTheirMends) {
  using metrics::UpstreamError;
  Fail(UpstreamError::kRefused, "connect: Connection refused");
  EXPECT_THAT(Told(),
              HasSubstr("BAD    mail1 (10.0.0.11:110): connect: Connection refused -> nobody "
                        "listens there"));
  Fail(UpstreamError::kConnectTimeout, "connect: timeout");
  EXPECT_THAT(Told(), HasSubstr("firewalls"));
  Fail(UpstreamError::kStlsRefused, "STLS: no");
  EXPECT_THAT(Told(), HasSubstr("switch TLS on at the server"));
  Fail(UpstreamError::kXclient, "the greeting does not announce XCLIENT");
  EXPECT_THAT(Told(), HasSubstr("add 10.0.0.5 to it (Dovecot: login_trusted_networks)"));
  Fail(UpstreamError::kGreetingTimeout, "greeting: timeout");
  EXPECT_THAT(Told(), HasSubstr("the port is open and silent"));
  backend_.proxy_protocol = config::UpstreamProxy::kV2;
  EXPECT_THAT(Told(), HasSubstr("does it expect a PROXY header"));
  EXPECT_EQ(problems_, 1);
  findings_.answer.verdict.kind = UpstreamVerdict::Kind::kRefused;
  EXPECT_THAT(Told(), HasSubstr("the login of health checks was refused"));
}

TEST_F(TellBackendTest, TlsFailures) {
  Fail(metrics::UpstreamError::kTls, "TLS handshake: no");
  backend_.tls_options.server_name = "mail1.example.net";
  for (const auto& [word, mend] :
       {std::pair("unknown_ca", "name the CA"), std::pair("self_signed", "name the CA"),
        std::pair("certificate_name", "it is not for mail1.example.net"),
        std::pair("certificate_expired", "renewed"), std::pair("plaintext", "in the clear"),
        std::pair("version", "openssl s_client")}) {
    findings_.answer.tls_error = word;
    EXPECT_THAT(Told(), HasSubstr(mend)) << word;
  }
}

TEST_F(TellBackendTest, AHeaderTooManyOrTooFew) {
  Fail(metrics::UpstreamError::kClosed, "greeting: connection closed");
  findings_.asked_otherwise = findings_.good_otherwise = true;
  EXPECT_THAT(Told(), HasSubstr("set proxy_protocol = \"v2\""));
  backend_.proxy_protocol = config::UpstreamProxy::kV1;
  EXPECT_THAT(Told(), HasSubstr("it answers well without a PROXY header"));
  // A server that takes the header for a command, and answers everything with -ERR.
  findings_.answer.verdict = UpstreamVerdict();
  findings_.answer.verdict.kind = UpstreamVerdict::Kind::kAccepted;
  EXPECT_THAT(Told(),
              HasSubstr("BAD    mail1 (10.0.0.11:110): no answer to CAPA -> it answers well "
                        "without"));
}

TEST_F(TellBackendTest, TrustInXclient) {
  EXPECT_THAT(Told(), Not(HasSubstr("XCLIENT")));
  backend_.xclient = config::UpstreamXclient::kAuto;
  EXPECT_THAT(Told(), HasSubstr("warn   mail1 (10.0.0.11:110) does not announce XCLIENT to us"));
  EXPECT_THAT(Told(), HasSubstr("-> add 10.0.0.5 to it"));
  findings_.answer.greeting = "+OK [XCLIENT] ready";
  EXPECT_THAT(Told(), HasSubstr("ok     mail1 (10.0.0.11:110) trusts us"));
  backend_.xclient = config::UpstreamXclient::kOff;
  EXPECT_THAT(Told(), HasSubstr("note   mail1 (10.0.0.11:110) takes XCLIENT"));
  EXPECT_EQ(problems_ + warnings_, 0);
}

TEST_F(TellBackendTest, WaysToLogIn) {
  Say({"TOP", "SASL PLAIN", "STLS"});
  EXPECT_THAT(Told(), HasSubstr("BAD    mail1 (10.0.0.11:110) does not offer USER and PASS"));
  EXPECT_THAT(Told(),
              HasSubstr("warn   mail1 (10.0.0.11:110) offers STLS, and passwords go there in "
                        "the clear"));
  backend_.mechanism = config::UpstreamMechanism::kAuthPlain;
  EXPECT_THAT(Told(), Not(HasSubstr("does not offer")));
  Say({"USER"});
  EXPECT_THAT(Told(), HasSubstr("does not offer SASL PLAIN"));
  backend_.mechanism = config::UpstreamMechanism::kUserPass;
  backend_.login = config::UpstreamLogin::kSasl;
  config_.dialogue.mechanisms = {pop3::Mechanism::kPlain, pop3::Mechanism::kScramSha256};
  config_.backends = {backend_};
  config_.listeners.resize(1);
  config_.listeners[0].backend = 0;
  EXPECT_THAT(Told(), HasSubstr("does not offer SCRAM-SHA-256, which clients are therefore not "
                                "offered"));
  findings_.capabilities = nullptr;
  EXPECT_THAT(Told(), HasSubstr("note   mail1 (10.0.0.11:110) does not answer CAPA"));
}

TEST_F(TellBackendTest, CertificatesThatEndOrAreNotVerified) {
  findings_.answer.tls_version = "TLSv1.2";
  findings_.answer.certificate.emplace();
  findings_.answer.certificate->not_after_unix = kNow + 13 * kDay;
  EXPECT_THAT(Told(), HasSubstr("warn   mail1 (10.0.0.11:110): its certificate ends soon"));
  findings_.answer.certificate->not_after_unix = kNow + 15 * kDay;
  EXPECT_THAT(Told(), Not(HasSubstr("ends soon")));
  backend_.tls_options.insecure = true;
  EXPECT_THAT(Told(), HasSubstr("is not verified (insecure = true)"));
}

}  // namespace
}  // namespace postern::admin
