// What a backend's certificate must be, and which word says what is wrong with it.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace postern::tls::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class VerificationTest : public TlsTest {
 protected:
  // Connects to a server that shows `pair`. "" or the client's error word.
  std::string WordFor(const CertificateFiles& files) {
    server_options_.certificates = {files};
    LoadClient();
    NewClient();
    // The server side is OpenSSL's own: ours would refuse to load the bad ones.
    SslContextPtr context(SSL_CTX_new(TLS_server_method()));
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), files.chain.c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_min_proto_version(context.get(), server_version_);
    SSL_CTX_set_max_proto_version(context.get(), server_version_);
    SSL* ssl = SSL_new(context.get());
    SSL_set_accept_state(ssl);
    server_.engine = std::make_unique<Engine>(ssl, &server_.output);
    Shake(&client_, &server_);
    EXPECT_EQ(client_.handshake == Result::kOk, client_.engine->error().empty());
    const std::string word(client_.engine->error_word());
    server_.Reset();
    return word;
  }
  std::string WordFor(const CertificateSpec& spec) {
    return WordFor(directory_.Write("leaf", TheWorld().ca.Issue(spec)));
  }

  TestDirectory directory_;
  int server_version_ = 0;
};

TEST_F(VerificationTest, Names) {
  const struct {
    std::string wanted;
    CertificateSpec spec;
    std::string word;
  } kCases[] = {
      {"pop.example.net", {.dns_names = {"pop.example.net"}}, ""},
      {"POP.example.net", {.dns_names = {"pop.example.net"}}, ""},
      {"pop.example.net.", {.dns_names = {"pop.example.net"}}, ""},
      {"pop.example.net", {.dns_names = {"a.example.net", "pop.example.net"}}, ""},
      {"pop.example.net", {.dns_names = {"*.example.net"}}, ""},
      {"a.pop.example.net", {.dns_names = {"*.example.net"}}, "certificate_name"},
      {"pop.example.net", {.dns_names = {"p*.example.net"}}, "certificate_name"},
      {"pop.example.net", {.dns_names = {"imap.example.net"}}, "certificate_name"},
      {"pop.example.net", {.dns_names = {"example.net"}}, "certificate_name"},
      {"pop.example.net",
       {.dns_names = {"imap.example.net"}, .common_name = "pop.example.net"},
       "certificate_name"},
      {"192.0.2.1", {.ip_addresses = {"192.0.2.1"}}, ""},
      {"192.0.2.2", {.ip_addresses = {"192.0.2.1"}}, "certificate_name"},
      {"192.0.2.1", {.dns_names = {"192.0.2.1"}}, "certificate_name"},
      {"2001:db8::1", {.ip_addresses = {"2001:db8::1"}}, ""},
      {"[2001:db8::1]", {.ip_addresses = {"2001:db8::1"}}, ""},
      {"2001:db8::2", {.ip_addresses = {"2001:db8::1"}}, "certificate_name"},
  };
  for (const auto& test : kCases) {
    client_options_.server_name = test.wanted;
    EXPECT_EQ(WordFor(test.spec), test.word) << test.wanted;
  }
}

TEST_F(VerificationTest, Times) {
  CertificateSpec spec;
  spec.dns_names = {"pop.example.net"};
  spec.begins = -7200;
  spec.ends = -3600;
  EXPECT_EQ(WordFor(spec), "certificate_expired");
  EXPECT_THAT(client_.engine->error(), HasSubstr("expired"));
  spec.begins = 3600;
  spec.ends = 7200;
  EXPECT_EQ(WordFor(spec), "certificate_not_yet_valid");
}

TEST_F(VerificationTest, Trust) {
  CertificateSpec spec;
  spec.dns_names = {"pop.example.net"};
  const CertificateFiles self_signed = directory_.Write("self", SelfSigned(spec));
  EXPECT_EQ(WordFor(self_signed), "self_signed");
  const CertificateAuthority stranger("Stranger");
  EXPECT_EQ(WordFor(directory_.Write("stranger", stranger.Issue(spec))), "unknown_ca");
  // The same with the stranger's root sent along.
  PemPair with_root = stranger.Issue(spec);
  with_root.chain += stranger.pem();
  EXPECT_EQ(WordFor(directory_.Write("with_root", with_root)), "unknown_ca");
  const CertificateAuthority intermediate("Intermediate", &TheWorld().ca);
  PemPair chained = intermediate.Issue(spec);
  EXPECT_EQ(WordFor(directory_.Write("chained", chained)), "");
  chained.chain.resize(chained.chain.size() - intermediate.pem().size());
  EXPECT_EQ(WordFor(directory_.Write("incomplete", chained)), "unknown_ca");
}

TEST_F(VerificationTest, WhateverIsInTheCaFileIsTrusted) {
  CertificateSpec spec;
  spec.dns_names = {"pop.example.net"};
  const CertificateFiles self_signed = directory_.Write("self", SelfSigned(spec));
  client_options_.ca_file = self_signed.chain;
  EXPECT_EQ(WordFor(self_signed), "");
  // Pinned to the certificate itself; another of the same CA does not do.
  const CertificateFiles pinned = directory_.Write("pinned", TheWorld().ca.Issue(spec));
  client_options_.ca_file = pinned.chain;
  EXPECT_EQ(WordFor(pinned), "");
  EXPECT_EQ(WordFor(spec), "unknown_ca");
  // And its name still counts.
  client_options_.server_name = "imap.example.net";
  EXPECT_EQ(WordFor(pinned), "certificate_name");
}

TEST_F(VerificationTest, InsecureSkipsEverything) {
  client_options_.insecure = true;
  client_options_.ca_file.clear();
  CertificateSpec spec;
  spec.dns_names = {"other.example.com"};
  spec.begins = -7200;
  spec.ends = -3600;
  EXPECT_EQ(WordFor(directory_.Write("bad", SelfSigned(spec))), "");
  client_options_.server_name.clear();
  EXPECT_EQ(WordFor(directory_.Write("bad", SelfSigned(spec))), "");
}

TEST_F(VerificationTest, TheSystemsStoreDoesNotKnowOurCa) {
  client_options_.ca_file.clear();
  CertificateSpec spec;
  spec.dns_names = {"pop.example.net"};
  EXPECT_EQ(WordFor(spec), "unknown_ca");
}

TEST_F(VerificationTest, Versions) {
  CertificateSpec spec;
  spec.dns_names = {"pop.example.net"};
  server_version_ = TLS1_2_VERSION;
  EXPECT_EQ(WordFor(spec), "");
  client_options_.version_min = Version::kTls13;
  EXPECT_EQ(WordFor(spec), "version");
  client_options_.version_min = Version::kTls12;
  server_version_ = TLS1_1_VERSION;
  EXPECT_THAT(WordFor(spec), AnyOf("version", "alert_received"));
}

TEST_F(VerificationTest, OptionsThatMakeNoSense) {
  const auto error = [this] {
    const auto context = ClientContext::Create(client_options_, &library_);
    return context.ok() ? "" : std::string(context.status().message());
  };
  client_options_.server_name.clear();
  EXPECT_THAT(error(), HasSubstr("its name is needed"));
  client_options_.server_name = "pop example";
  EXPECT_THAT(error(), HasSubstr("host name or an IP address"));
  client_options_.server_name = "pop.example.net";
  client_options_.ca_file = "/nonexistent/ca.pem";
  EXPECT_THAT(error(), HasSubstr("/nonexistent/ca.pem: cannot be read: No such file"));
  client_options_.ca_file = TheWorld().ecdsa.key;
  EXPECT_THAT(error(), HasSubstr("holds a private key but no certificate"));
  client_options_.ca_file = TheWorld().ca_file;
  EXPECT_EQ(error(), "");
}

}  // namespace
}  // namespace postern::tls::testing
