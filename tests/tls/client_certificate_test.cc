// Clients that show a certificate.
#include <openssl/pem.h>

#include <algorithm>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/base/check.h"
#include "tests/tls/tls_fixture.h"
#include "tls/session_tickets.h"

namespace postern::tls::testing {
namespace {

using ::testing::HasSubstr;

class ClientCertificateTest : public TlsTest {
 protected:
  ClientCertificateTest() : clients_("clients"), strangers_("strangers") {
    spec_.usage = "clientAuth";
    spec_.common_name = "anna";
    server_options_.client_ca_file = directory_.Write("clients.pem", clients_.pem());
    server_options_.client_certificate = ClientCertificate::kOptional;
  }

  // A client with the certificate, or none; true when both sides shook hands.
  bool Connect(const PemPair* pair, int version = TLS1_3_VERSION) {
    if (server_context_ == nullptr) LoadServer();
    NewServer();
    CertificateFiles files;
    if (pair != nullptr) files = directory_.Write("client", *pair);
    RawClient client([&](SSL_CTX* context) {
      SSL_CTX_set_max_proto_version(context, version);
      if (pair == nullptr) return;
      CHECK(SSL_CTX_use_certificate_chain_file(context, files.chain.c_str()) == 1);
      CHECK(SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1);
    });
    const bool done = client.Shake(&server_);
    client.Read();
    resumable_ = client.session() != nullptr && SSL_SESSION_is_resumable(client.session()) == 1;
    return done;
  }
  PeerCertificate Shown() { return server_.engine->peer_certificate().value(); }

  TestDirectory directory_;
  CertificateAuthority clients_, strangers_;
  CertificateSpec spec_;
  bool resumable_ = false;
};

TEST_F(ClientCertificateTest, NamesOfAVerifiedOne) {
  spec_.emails = {"anna@example.org"};
  spec_.more_subject = {{"emailAddress", "a@example.net"}};
  const PemPair pair = clients_.Issue(spec_);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ASSERT_TRUE(Connect(&pair, version));
    EXPECT_TRUE(Shown().verified);
    EXPECT_EQ(Shown().common_name, "anna");
    EXPECT_EQ(Shown().subject_email, "a@example.net");
    EXPECT_EQ(Shown().alternate_email, "anna@example.org");
    EXPECT_GT(Shown().not_after_unix, 1'700'000'000);
    // Who comes back shows it again.
    EXPECT_FALSE(resumable_);
  }
}

TEST_F(ClientCertificateTest, DetailsAsOtherProgramsAreToldThem) {
  spec_.more_subject = {{"O",
                         "Gr\xc3\xb6\xc3\x9f"
                         "e, +\r\nX: y"}};
  const PemPair pair = clients_.Issue(spec_);
  ASSERT_TRUE(Connect(&pair));
  const CertificateDetails details = server_.engine->peer_certificate_details().value();
  for (const std::string& line :
       {details.subject, details.issuer, details.serial, details.fingerprint}) {
    EXPECT_FALSE(line.empty());
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7F; }))
        << line;
  }
  EXPECT_THAT(details.subject, HasSubstr("CN=anna"));
  EXPECT_THAT(details.subject, HasSubstr("O=Gr\\C3\\B6\\C3\\9Fe\\, \\+\\0D\\0AX: y"));
  EXPECT_EQ(details.serial.find_first_not_of("0123456789ABCDEF"), std::string::npos);
  EXPECT_EQ(details.serial.size() % 2, 0u);
  EXPECT_EQ(details.fingerprint.size(), 40u);
  EXPECT_EQ(details.fingerprint.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(pair.chain.substr(0, details.pem.size()), details.pem);
  EXPECT_EQ(details.pem.substr(0, 28), "-----BEGIN CERTIFICATE-----\n");
  ASSERT_TRUE(Connect(nullptr));
  EXPECT_FALSE(server_.engine->peer_certificate_details().has_value());
}

TEST_F(ClientCertificateTest, OptionalAndRequired) {
  ASSERT_TRUE(Connect(nullptr));
  EXPECT_FALSE(server_.engine->peer_certificate().has_value());
  server_options_.client_certificate = ClientCertificate::kRequired;
  LoadServer();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_FALSE(Connect(nullptr, version));
    EXPECT_EQ(server_.engine->error_word(), "certificate");
  }
  const PemPair pair = clients_.Issue(spec_);
  EXPECT_TRUE(Connect(&pair));
}

TEST_F(ClientCertificateTest, ABadOneEndsTheHandshakeAlsoWhereNoneIsNeeded) {
  PemPair pair = strangers_.Issue(spec_);
  EXPECT_FALSE(Connect(&pair));
  EXPECT_EQ(server_.engine->error_word(), "unknown_ca");
  pair = SelfSigned(spec_);
  EXPECT_FALSE(Connect(&pair));
  EXPECT_EQ(server_.engine->error_word(), "self_signed");
  CertificateSpec old = spec_;
  old.begins = -7200;
  old.ends = -3600;
  pair = clients_.Issue(old);
  EXPECT_FALSE(Connect(&pair));
  EXPECT_EQ(server_.engine->error_word(), "certificate_expired");
  CertificateSpec server = spec_;
  server.usage = "serverAuth";
  pair = clients_.Issue(server);
  EXPECT_FALSE(Connect(&pair));
  EXPECT_EQ(server_.engine->error_word(), "certificate");
}

TEST_F(ClientCertificateTest, NobodyIsAskedWhereNothingIsSaid) {
  server_options_.client_certificate = ClientCertificate::kNone;
  const PemPair pair = clients_.Issue(spec_);
  ASSERT_TRUE(Connect(&pair));
  EXPECT_FALSE(server_.engine->peer_certificate().has_value());
}

TEST_F(ClientCertificateTest, NamesThatCouldBeReadInTwoWays) {
  spec_.more_subject = {{"CN", "bert"}, {"emailAddress", "a@x"}, {"emailAddress", "b@x"}};
  spec_.emails = {"a@x.org", "b@x.org"};
  PemPair pair = clients_.Issue(spec_);
  ASSERT_TRUE(Connect(&pair));
  EXPECT_TRUE(Shown().verified);
  EXPECT_EQ(Shown().common_name + Shown().subject_email + Shown().alternate_email, "");

  for (const std::string& name :
       {std::string("anna\0bert", 9), std::string("anna\n"), std::string("\x7f")}) {
    CertificateSpec spec;
    spec.usage = "clientAuth";
    spec.more_subject = {{"CN", name}};
    pair = clients_.Issue(spec);
    if (!Connect(&pair)) continue;  // OpenSSL may refuse it by itself
    EXPECT_EQ(Shown().common_name, "");
  }
}

TEST_F(ClientCertificateTest, WhoMaySignMustBeReadable) {
  server_options_.client_ca_file = directory_.path() + "/none.pem";
  EXPECT_THAT(std::string(ServerContext::Create(server_options_, &library_).status().message()),
              HasSubstr("none.pem: cannot be read"));
  server_options_.client_ca_file = directory_.Write("rubbish.pem", "rubbish");
  EXPECT_THAT(std::string(ServerContext::Create(server_options_, &library_).status().message()),
              HasSubstr("rubbish.pem: "));
}

TEST_F(ClientCertificateTest, ATicketFromElsewhereOpensNothing) {
  // Both listeners seal with the same keys.
  auto tickets = std::make_shared<TicketKeys>();
  server_options_.certificates = {TheWorld().rsa};
  server_options_.client_certificate = ClientCertificate::kNone;
  LoadServer(tickets);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_options_.client_certificate = ClientCertificate::kNone;
    LoadServer(tickets);
    NewServer();
    RawClient first([&](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, version); });
    ASSERT_TRUE(first.Shake(&server_));
    first.Read();
    ASSERT_NE(first.session(), nullptr);
    server_options_.client_certificate = ClientCertificate::kRequired;
    LoadServer(tickets);
    NewServer();
    RawClient second([&](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, version); });
    CHECK(SSL_set_session(second.ssl(), first.session()) == 1);
    EXPECT_FALSE(second.Shake(&server_)) << version;
  }
}

}  // namespace
}  // namespace postern::tls::testing
