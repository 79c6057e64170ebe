// Certificates for tests, made on the spot: good ones and every kind of bad one.
//
// Link `test_certificates`. Whatever OpenSSL refuses here is a mistake in the test and ends it.
#ifndef POSTERN_TESTS_TLS_TEST_CERTIFICATES_H_
#define POSTERN_TESTS_TLS_TEST_CERTIFICATES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "tls/options.h"

namespace postern::tls::testing {

enum class TestKey { kEcdsaP256, kEcdsaP384, kRsa2048, kRsa1024 };

struct CertificateSpec {
  std::vector<std::string> dns_names = {};     // subject alternative names
  std::vector<std::string> ip_addresses = {};  // the same
  std::string common_name = {};                // empty: no subject at all
  std::vector<std::string> emails = {};        // among the alternative names
  // More of the subject, as pairs of "CN" or "emailAddress" and any bytes.
  std::vector<std::pair<std::string, std::string>> more_subject = {};
  std::string usage = "serverAuth";
  TestKey key = TestKey::kEcdsaP256;
  // Validity, in seconds from now.
  int64_t begins = -3600;
  int64_t ends = 30 * 86400;
};

// PEM text.
struct PemPair {
  std::string chain;  // the leaf; with an intermediate issuer, its certificate too
  std::string key;
};

class CertificateAuthority {
 public:
  // A root that signs itself, or an intermediate signed by `issuer`.
  explicit CertificateAuthority(const std::string& name,
                                const CertificateAuthority* issuer = nullptr,
                                int64_t ends = 365 * 86400);
  ~CertificateAuthority();

  PemPair Issue(const CertificateSpec& spec) const;
  // Its own certificate.
  const std::string& pem() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

PemPair SelfSigned(const CertificateSpec& spec);
// The key, encrypted with a password.
std::string EncryptKey(const std::string& pem_key, const std::string& password);

// A directory of its own, removed with everything in it at the end.
class TestDirectory {
 public:
  TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory();

  const std::string& path() const { return path_; }
  // Writes a file that only its owner may read; returns its full path.
  std::string Write(absl::string_view name, absl::string_view content) const;
  // NAME.pem and NAME.key.
  CertificateFiles Write(absl::string_view name, const PemPair& pair) const;

 private:
  std::string path_;
};

}  // namespace postern::tls::testing

#endif  // POSTERN_TESTS_TLS_TEST_CERTIFICATES_H_
