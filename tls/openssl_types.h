// Owners for OpenSSL's objects. Internal to tls/: no other layer sees an OpenSSL type.
#ifndef POSTERN_TLS_OPENSSL_TYPES_H_
#define POSTERN_TLS_OPENSSL_TYPES_H_

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace postern::tls {

template <auto Free>
struct OpenSslDeleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

inline void FreeCertificates(STACK_OF(X509) * certificates) {
  sk_X509_pop_free(certificates, X509_free);
}

// The BIO_free of the library returns an int that nobody needs.
inline void FreeBio(BIO* bio) { BIO_free_all(bio); }

using BioPtr = std::unique_ptr<BIO, OpenSslDeleter<FreeBio>>;
using X509Ptr = std::unique_ptr<X509, OpenSslDeleter<X509_free>>;
using CertificatesPtr = std::unique_ptr<STACK_OF(X509), OpenSslDeleter<FreeCertificates>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDeleter<EVP_PKEY_free>>;
using CipherPtr = std::unique_ptr<EVP_CIPHER, OpenSslDeleter<EVP_CIPHER_free>>;
using DigestPtr = std::unique_ptr<EVP_MD, OpenSslDeleter<EVP_MD_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, OpenSslDeleter<EVP_MD_CTX_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpenSslDeleter<SSL_CTX_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, OpenSslDeleter<SSL_SESSION_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslDeleter<SSL_free>>;

}  // namespace postern::tls

#endif  // POSTERN_TLS_OPENSSL_TYPES_H_
