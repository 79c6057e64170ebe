#include "tests/tls/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "tls/openssl_types.h"
#include "tls/random.h"

namespace postern::tls::testing {
namespace {

KeyPtr MakeKey(TestKey kind) {
  EVP_PKEY* key = nullptr;
  switch (kind) {
    case TestKey::kEcdsaP256:
      key = EVP_EC_gen("P-256");
      break;
    case TestKey::kEcdsaP384:
      key = EVP_EC_gen("P-384");
      break;
    case TestKey::kRsa2048:
      key = EVP_RSA_gen(2048);
      break;
    case TestKey::kRsa1024:
      key = EVP_RSA_gen(1024);
      break;
  }
  CHECK(key != nullptr);
  return KeyPtr(key);
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string CertificateToPem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return Contents(bio.get());
}

std::string KeyToPem(EVP_PKEY* key, const std::string& password) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  const auto* bytes = reinterpret_cast<const unsigned char*>(password.data());
  CHECK(PEM_write_bio_PrivateKey(bio.get(), key, password.empty() ? nullptr : EVP_aes_128_cbc(),
                                 bytes, static_cast<int>(password.size()), nullptr, nullptr) == 1);
  return Contents(bio.get());
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

// Everything but the extensions of a leaf or a CA, and the signature.
X509Ptr Begin(EVP_PKEY* key, const std::string& common_name, int64_t begins, int64_t ends) {
  X509Ptr certificate(X509_new());
  CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  uint64_t serial = 0;
  RandomBytes(&serial, sizeof(serial));
  CHECK(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1) == 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), static_cast<long>(begins));
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), static_cast<long>(ends));
  CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  if (!common_name.empty()) {
    const auto* text = reinterpret_cast<const unsigned char*>(common_name.data());
    CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                     text, static_cast<int>(common_name.size()), -1, 0) == 1);
  }
  return certificate;
}

X509Ptr MakeLeaf(EVP_PKEY* key, const CertificateSpec& spec, X509* issuer, EVP_PKEY* issuer_key) {
  X509Ptr leaf = Begin(key, spec.common_name, spec.begins, spec.ends);
  X509* const signer = issuer == nullptr ? leaf.get() : issuer;
  CHECK(X509_set_issuer_name(leaf.get(), X509_get_subject_name(signer)) == 1);
  std::string names;
  for (const std::string& name : spec.dns_names) {
    absl::StrAppend(&names, names.empty() ? "" : ",", "DNS:", name);
  }
  for (const std::string& address : spec.ip_addresses) {
    absl::StrAppend(&names, names.empty() ? "" : ",", "IP:", address);
  }
  for (const std::string& email : spec.emails) {
    absl::StrAppend(&names, names.empty() ? "" : ",", "email:", email);
  }
  for (const auto& [field, value] : spec.more_subject) {
    const auto* text = reinterpret_cast<const unsigned char*>(value.data());
    CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf.get()), field.c_str(),
                                     V_ASN1_UTF8STRING, text, static_cast<int>(value.size()), -1,
                                     0) == 1);
  }
  if (!names.empty()) AddExtension(leaf.get(), signer, NID_subject_alt_name, names);
  AddExtension(leaf.get(), signer, NID_ext_key_usage, spec.usage);
  CHECK(X509_sign(leaf.get(), issuer_key, EVP_sha256()) > 0);
  return leaf;
}

}  // namespace

struct CertificateAuthority::Impl {
  KeyPtr key;
  X509Ptr certificate;
  std::string pem;
  bool is_root = true;
};

CertificateAuthority::CertificateAuthority(const std::string& name,
                                           const CertificateAuthority* issuer, int64_t ends)
    : impl_(std::make_unique<Impl>()) {
  impl_->key = MakeKey(TestKey::kEcdsaP256);
  impl_->certificate = Begin(impl_->key.get(), name, -86400, ends);
  impl_->is_root = issuer == nullptr;
  X509* const own = impl_->certificate.get();
  X509* const signer = issuer == nullptr ? own : issuer->impl_->certificate.get();
  CHECK(X509_set_issuer_name(own, X509_get_subject_name(signer)) == 1);
  AddExtension(own, signer, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(own, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
  EVP_PKEY* const signing_key = issuer == nullptr ? impl_->key.get() : issuer->impl_->key.get();
  CHECK(X509_sign(own, signing_key, EVP_sha256()) > 0);
  impl_->pem = CertificateToPem(own);
}

CertificateAuthority::~CertificateAuthority() = default;

const std::string& CertificateAuthority::pem() const { return impl_->pem; }

PemPair CertificateAuthority::Issue(const CertificateSpec& spec) const {
  const KeyPtr key = MakeKey(spec.key);
  const X509Ptr leaf = MakeLeaf(key.get(), spec, impl_->certificate.get(), impl_->key.get());
  PemPair pair = {CertificateToPem(leaf.get()), KeyToPem(key.get(), "")};
  if (!impl_->is_root) pair.chain += impl_->pem;
  return pair;
}

PemPair SelfSigned(const CertificateSpec& spec) {
  const KeyPtr key = MakeKey(spec.key);
  const X509Ptr leaf = MakeLeaf(key.get(), spec, nullptr, key.get());
  return {CertificateToPem(leaf.get()), KeyToPem(key.get(), "")};
}

std::string EncryptKey(const std::string& pem_key, const std::string& password) {
  const BioPtr bio(BIO_new_mem_buf(pem_key.data(), static_cast<int>(pem_key.size())));
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  CHECK(key != nullptr);
  return KeyToPem(key.get(), password);
}

TestDirectory::TestDirectory() {
  std::string path = (std::filesystem::temp_directory_path() / "postern-test-XXXXXX").string();
  CHECK(mkdtemp(path.data()) != nullptr);
  path_ = path;
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TestDirectory::Write(absl::string_view name, absl::string_view content) const {
  const std::string path = absl::StrCat(path_, "/", name);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  CHECK(file.good());
  CHECK(chmod(path.c_str(), S_IRUSR | S_IWUSR) == 0);
  return path;
}

CertificateFiles TestDirectory::Write(absl::string_view name, const PemPair& pair) const {
  return {Write(absl::StrCat(name, ".pem"), pair.chain),
          Write(absl::StrCat(name, ".key"), pair.key)};
}

}  // namespace postern::tls::testing
