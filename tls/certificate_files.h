// Certificates and keys from PEM files, checked so that what is wrong with them is said at start
// and not in a client's handshake. Internal to tls/.
#ifndef POSTERN_TLS_CERTIFICATE_FILES_H_
#define POSTERN_TLS_CERTIFICATE_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tls/context.h"
#include "tls/openssl_types.h"
#include "tls/options.h"

namespace postern::tls {

enum class KeyKind { kEcdsa, kRsa, kOther };
KeyKind KeyKindOf(const EVP_PKEY* key);

struct LoadedCertificate {
  X509Ptr leaf;
  CertificatesPtr intermediates;
  KeyPtr key;
  KeyKind kind = KeyKind::kOther;
  CertificateInfo info;
};

// Every error is one sentence: the file, what is wrong with it, how to mend it. Adds to `warnings`
// what is merely unwise.
absl::StatusOr<LoadedCertificate> LoadCertificate(const CertificateFiles& files,
                                                  OSSL_LIB_CTX* library,
                                                  std::vector<std::string>* warnings);

// All certificates of a PEM file, at least one, in their order.
absl::StatusOr<std::vector<X509Ptr>> LoadPemCertificates(const std::string& file,
                                                         OSSL_LIB_CTX* library);

// Makes every certificate of the PEM file trusted as it is: a root, an intermediate CA, or the
// other end's own one.
absl::Status TrustFile(SSL_CTX* context, const std::string& file, OSSL_LIB_CTX* library);

}  // namespace postern::tls

#endif  // POSTERN_TLS_CERTIFICATE_FILES_H_
