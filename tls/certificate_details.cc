#include "tls/certificate_details.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "tls/errors.h"
#include "tls/openssl_types.h"

namespace postern::tls {
namespace {

BioPtr NewMemory() { return BioPtr(BIO_new(BIO_s_mem())); }

std::string Contents(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);  // NOLINT(runtime/int): the library's
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : "";
}

std::string NameText(const X509_NAME* name) {
  const BioPtr memory = NewMemory();
  if (memory == nullptr || X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253) < 0) {
    return "";
  }
  return Contents(memory.get());
}

std::string SerialText(const X509* certificate) {
  const BioPtr memory = NewMemory();
  if (memory == nullptr ||
      i2a_ASN1_INTEGER(memory.get(), X509_get0_serialNumber(certificate)) < 0) {
    return "";
  }
  std::string text = Contents(memory.get());
  // The library folds a long one by a backslash and a line end.
  text.erase(
      std::remove_if(text.begin(), text.end(), [](char c) { return c == '\\' || c == '\n'; }),
      text.end());
  return text;
}

std::string FingerprintText(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha1(), digest, &size) != 1) return "";
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

std::string PemText(const X509* certificate) {
  const BioPtr memory = NewMemory();
  if (memory == nullptr || PEM_write_bio_X509(memory.get(), certificate) != 1) return "";
  return Contents(memory.get());
}

}  // namespace

CertificateDetails ReadCertificateDetails(const x509_st* certificate) {
  CertificateDetails details;
  details.subject = NameText(X509_get_subject_name(certificate));
  details.issuer = NameText(X509_get_issuer_name(certificate));
  details.serial = SerialText(certificate);
  details.fingerprint = FingerprintText(certificate);
  details.pem = PemText(certificate);
  ClearErrors();
  return details;
}

}  // namespace postern::tls
