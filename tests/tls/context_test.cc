#include "tls/context.h"

#include <sys/stat.h>

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace postern::tls::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class ServerContextTest : public TlsTest {
 protected:
  // The sentence Create() answers, or "" when it accepts the files.
  std::string ErrorFor(const CertificateFiles& files) {
    server_options_.certificates = {files};
    const auto context = ServerContext::Create(server_options_, &library_);
    return context.ok() ? "" : std::string(context.status().message());
  }

  CertificateFiles Issue(absl::string_view file, const CertificateSpec& spec) {
    return directory_.Write(file, TheWorld().ca.Issue(spec));
  }
  CertificateFiles Issue(absl::string_view file, std::vector<std::string> names,
                         TestKey key = TestKey::kEcdsaP256) {
    CertificateSpec spec;
    spec.dns_names = std::move(names);
    spec.common_name = std::string(file);  // tells the tests which one was chosen
    spec.key = key;
    return Issue(file, spec);
  }

  // The common name of the certificate the server shows for `sni` (empty: no SNI at all).
  std::string ChosenFor(const std::string& sni, const char* signature_algorithms = nullptr) {
    NewServer();
    RawClient client;
    if (!sni.empty()) SSL_set_tlsext_host_name(client.ssl(), sni.c_str());
    if (signature_algorithms != nullptr) {
      EXPECT_EQ(SSL_set1_sigalgs_list(client.ssl(), signature_algorithms), 1);
    }
    if (!client.Shake(&server_)) return "failed: " + server_.engine->error();
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(client.ssl())),
                              NID_commonName, name, sizeof(name));
    return name;
  }

  TestDirectory directory_;
};

TEST_F(ServerContextTest, TellsWhatItLoaded) {
  LoadServer();
  ASSERT_EQ(server_context_->certificates().size(), 1u);
  const CertificateInfo& info = server_context_->certificates()[0];
  EXPECT_EQ(info.file, TheWorld().ecdsa.chain);
  EXPECT_THAT(info.names, ElementsAre("pop.example.net"));
  EXPECT_EQ(info.key_kind, "ECDSA P-256");
  EXPECT_NEAR(static_cast<double>(info.not_after_unix),
              static_cast<double>(std::time(nullptr)) + 30 * 86400, 3600);
  EXPECT_THAT(server_context_->warnings(), IsEmpty());

  server_options_.certificates = {TheWorld().rsa};
  LoadServer();
  EXPECT_EQ(server_context_->certificates()[0].key_kind, "RSA 2048");
}

TEST_F(ServerContextTest, NoCertificate) {
  server_options_.certificates.clear();
  const auto context = ServerContext::Create(server_options_, &library_);
  ASSERT_FALSE(context.ok());
  EXPECT_THAT(context.status().message(), HasSubstr("needs a certificate"));
}

TEST_F(ServerContextTest, EveryBadCertificateIsTold) {
  const CertificateFiles good = Issue("good", {"a.example.net"});
  server_options_.certificates = {{"/none/1.pem", good.key}, good, {good.chain, "/none/2.pem"}};
  const auto context = ServerContext::Create(server_options_, &library_);
  ASSERT_FALSE(context.ok());
  EXPECT_EQ(context.status().message(),
            "/none/1.pem: cannot be read: No such file or directory; check the path\n"
            "/none/2.pem: cannot be read: No such file or directory; check the path");
}

TEST_F(ServerContextTest, BadFilesAreNamedAndExplained) {
  const CertificateFiles good = Issue("good", {"a.example.net"});
  const CertificateFiles other = Issue("other", {"a.example.net"});
  const PemPair pair = TheWorld().ca.Issue({.dns_names = {"a.example.net"}});
  const std::string missing = directory_.path() + "/missing.pem";
  const std::string empty = directory_.Write("empty.pem", "");
  const std::string text = directory_.Write("text.pem", "hello\n");
  const std::string cut = directory_.Write("cut.pem", pair.chain.substr(0, 300));
  const std::string cut_chain =
      directory_.Write("cut_chain.pem", pair.chain + pair.chain.substr(0, 300));
  const std::string cut_key = directory_.Write("cut.key", pair.key.substr(0, 100));
  const std::string locked = directory_.Write("locked.key", EncryptKey(pair.key, "hunter2"));
  const struct {
    CertificateFiles files;
    std::string culprit;
    std::string says;
  } kCases[] = {
      {{missing, good.key}, missing, "No such file or directory"},
      {{good.chain, missing}, missing, "No such file or directory"},
      {{directory_.path(), good.key}, directory_.path(), "Is a directory"},
      {{empty, good.key}, empty, "is empty"},
      {{good.chain, empty}, empty, "is empty"},
      {{text, good.key}, text, "holds no certificate"},
      {{good.chain, text}, text, "holds no private key"},
      {{good.key, good.chain}, good.key, "are chain and key swapped?"},
      {{cut, good.key}, cut, "certificate 1 in it is damaged or cut off"},
      {{cut_chain, good.key}, cut_chain, "certificate 2 in it is damaged or cut off"},
      {{good.chain, cut_key}, cut_key, "private key is damaged or cut off"},
      {{good.chain, locked}, locked, "is encrypted"},
      {{good.chain, other.key}, other.key, "is not the key of the first certificate"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(ErrorFor(test.files), AllOf(StartsWith(test.culprit + ": "), HasSubstr(test.says)));
  }
  EXPECT_EQ(ErrorFor(good), "");
}

TEST_F(ServerContextTest, AFileNobodyMayRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const CertificateFiles files = Issue("secret", {"a.example.net"});
  ASSERT_EQ(chmod(files.key.c_str(), 0), 0);
  EXPECT_THAT(ErrorFor(files), AllOf(StartsWith(files.key), HasSubstr("Permission denied")));
}

TEST_F(ServerContextTest, BadCertificatesAreNamedAndExplained) {
  CertificateSpec spec;
  spec.dns_names = {"a.example.net"};
  spec.begins = -7200;
  spec.ends = -3600;
  const CertificateFiles expired = Issue("expired", spec);
  EXPECT_THAT(ErrorFor(expired),
              AllOf(StartsWith(expired.chain), HasSubstr("expired on 20"), HasSubstr("UTC")));
  spec.begins = 3600;
  spec.ends = 7200;
  EXPECT_THAT(ErrorFor(Issue("early", spec)), HasSubstr("is not valid before 20"));
  EXPECT_THAT(ErrorFor(Issue("nameless", CertificateSpec{})), HasSubstr("names no server"));
  CertificateSpec person;
  person.common_name = "Test User";
  EXPECT_THAT(ErrorFor(Issue("person", person)), HasSubstr("names no server"));
  CertificateSpec weak;
  weak.dns_names = {"a.example.net"};
  weak.key = TestKey::kRsa1024;
  EXPECT_THAT(ErrorFor(Issue("weak", weak)), AllOf(HasSubstr("weak.pem"), HasSubstr("too small")));
}

TEST_F(ServerContextTest, BadListsAreNamed) {
  std::string ServerOptions::*const lists[] = {
      &ServerOptions::ciphers, &ServerOptions::ciphersuites, &ServerOptions::groups};
  for (auto list : lists) {
    ServerOptions options = server_options_;
    options.*list = "NONSENSE";
    const auto context = ServerContext::Create(options, &library_);
    ASSERT_FALSE(context.ok());
    EXPECT_THAT(context.status().message(), HasSubstr("\"NONSENSE\""));
  }
}

TEST_F(ServerContextTest, CiphersWithoutForwardSecrecyOrAuthenticationAreRefused) {
  for (const char* list : {"AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256",
                           "ECDHE-ECDSA-AES128-GCM-SHA256:AES256-SHA", "aNULL@SECLEVEL=0"}) {
    server_options_.ciphers = list;
    const auto context = ServerContext::Create(server_options_, &library_);
    ASSERT_FALSE(context.ok()) << list;
    EXPECT_THAT(context.status().message(), HasSubstr("cipher")) << list;
    EXPECT_THAT(context.status().message(), HasSubstr("ECDHE")) << list;
  }
  for (const char* list : {"ECDHE+AESGCM", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE+CHACHA20"}) {
    server_options_.ciphers = list;
    EXPECT_TRUE(ServerContext::Create(server_options_, &library_).ok()) << list;
  }
}

TEST_F(ServerContextTest, NamesComeFromTheCommonNameOnlyWithoutAlternativeNames) {
  CertificateSpec spec;
  spec.common_name = "Old.Example.net";
  server_options_.certificates = {Issue("cn", spec)};
  LoadServer();
  EXPECT_THAT(server_context_->certificates()[0].names, ElementsAre("old.example.net"));
  spec.dns_names = {"new.example.net", "*.Example.org"};
  server_options_.certificates = {Issue("san", spec)};
  LoadServer();
  EXPECT_THAT(server_context_->certificates()[0].names,
              ElementsAre("new.example.net", "*.example.org"));
  CertificateSpec address;
  address.ip_addresses = {"192.0.2.1"};
  server_options_.certificates = {Issue("ip", address)};
  LoadServer();
  EXPECT_THAT(server_context_->certificates()[0].names, IsEmpty());
}

TEST_F(ServerContextTest, WarnsOfAKeyThatOthersMayRead) {
  const CertificateFiles files = Issue("open", {"a.example.net"});
  ASSERT_EQ(chmod(files.key.c_str(), 0644), 0);
  server_options_.certificates = {files};
  LoadServer();
  EXPECT_THAT(server_context_->warnings(), ElementsAre(HasSubstr("everybody on this machine")));
}

TEST_F(ServerContextTest, WarnsOfACertificateThatIsNeverUsed) {
  server_options_.certificates = {Issue("a", {"a.example.net"}), Issue("again", {"a.example.net"})};
  LoadServer();
  EXPECT_THAT(server_context_->warnings(), ElementsAre(HasSubstr("again.pem: is never used")));
}

TEST_F(ServerContextTest, ChoosesByServerName) {
  server_options_.certificates = {
      Issue("default", {"pop.example.net", "mail.example.net"}),
      Issue("wild", {"*.example.org"}),
      Issue("exact", {"pop.example.org", "deep.pop.example.com"}),
  };
  LoadServer();
  const std::pair<std::string, std::string> kCases[] = {
      {"", "default"},
      {"pop.example.net", "default"},
      {"MAIL.Example.NET", "default"},
      {"imap.example.org", "wild"},
      {"IMAP.EXAMPLE.ORG", "wild"},
      {"pop.example.org", "exact"},  // before the wildcard
      {"pop.example.org.", "exact"},
      {"a.b.example.org", "default"},  // a wildcard is one label
      {"example.org", "default"},
      {"deep.pop.example.com", "exact"},
      {"pop.example.com", "default"},
      {"unknown.test", "default"},
      {"*.example.org", "default"},  // not a host name
      {"..", "default"},
      {"192.0.2.1", "default"},
      {std::string(255, 'a'), "default"},
  };
  for (const auto& [sni, chosen] : kCases) EXPECT_EQ(ChosenFor(sni), chosen) << sni;
}

TEST_F(ServerContextTest, SniOfTheClientIsKept) {
  LoadServer();
  NewServer();
  RawClient client;
  SSL_set_tlsext_host_name(client.ssl(), "Other.Test");
  ASSERT_TRUE(client.Shake(&server_));
  EXPECT_EQ(server_.engine->info().server_name, "Other.Test");
}

TEST_F(ServerContextTest, SniWithANulIsRefusedWithAnAlert) {
  LoadServer();
  NewServer();
  RawClient client;
  SSL_set_tlsext_host_name(client.ssl(), "pop.example.net");
  SSL_do_handshake(client.ssl());
  std::string hello = client.TakeOutput();
  const size_t at = hello.find("pop.example.net");
  ASSERT_NE(at, std::string::npos);
  hello[at + 3] = '\0';
  std::string plaintext;
  EXPECT_EQ(server_.Feed(hello, &plaintext), Result::kError);
  EXPECT_FALSE(server_.output.empty());
  EXPECT_EQ(ChosenFor("pop.example.net"), "") << "the next client is served";
}

TEST_F(ServerContextTest, EcdsaAndRsaSideBySide) {
  server_options_.certificates = {
      Issue("default", {"other.example.net"}),
      Issue("rsa", {"pop.example.net"}, TestKey::kRsa2048),
      Issue("ecdsa", {"pop.example.net"}),
  };
  LoadServer();
  EXPECT_EQ(ChosenFor("pop.example.net"), "ecdsa");
  EXPECT_EQ(ChosenFor("pop.example.net", "RSA-PSS+SHA256:RSA+SHA256"), "rsa");
  EXPECT_EQ(ChosenFor("other.example.net"), "default");
  EXPECT_THAT(ChosenFor("other.example.net", "RSA-PSS+SHA256:RSA+SHA256"), HasSubstr("failed"));
}

TEST_F(ServerContextTest, TheDefaultHasItsSiblingToo) {
  server_options_.certificates = {
      Issue("rsa", {"pop.example.net"}, TestKey::kRsa2048),
      Issue("ecdsa", {"pop.example.net"}),
      Issue("stranger", {"pop.example.com"}, TestKey::kEcdsaP384),
  };
  LoadServer();
  EXPECT_EQ(ChosenFor(""), "ecdsa");
  EXPECT_EQ(ChosenFor("", "RSA-PSS+SHA256:RSA+SHA256"), "rsa");
  EXPECT_EQ(ChosenFor("unknown.test"), "ecdsa");
}

TEST_F(ServerContextTest, SendsTheIntermediates) {
  const CertificateAuthority intermediate("Intermediate", &TheWorld().ca);
  CertificateSpec spec;
  spec.dns_names = {"pop.example.net"};
  server_options_.certificates = {directory_.Write("chained", intermediate.Issue(spec))};
  Connect();  // the client knows the root only
}

TEST_F(ServerContextTest, EachWorkerHasItsOwnLibrary) {
  Library second_library;
  auto second = ServerContext::Create(server_options_, &second_library);
  ASSERT_TRUE(second.ok()) << second.status();
  LoadServer();
  server_context_ = std::move(*second);
  Connect();
  server_.Reset();
  server_context_.reset();  // before the library it was made with
}

}  // namespace
}  // namespace postern::tls::testing
