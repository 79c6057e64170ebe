// What a certificate says, in the forms in which other programs are told of it: those of nginx's
// variables $ssl_client_s_dn and the like. Plain values: no OpenSSL here.
#ifndef POSTERN_TLS_CERTIFICATE_DETAILS_H_
#define POSTERN_TLS_CERTIFICATE_DETAILS_H_

#include <string>

struct x509_st;

namespace postern::tls {

// Printable ASCII, but for the line ends of `pem`: RFC 2253 has escapes for everything else. One
// that cannot be written is empty.
struct CertificateDetails {
  std::string subject;      // RFC 2253: "CN=anna,O=Example"
  std::string issuer;       // likewise
  std::string serial;       // hexadecimal, upper case
  std::string fingerprint;  // SHA-1 of the certificate: 40 hexadecimal digits, lower case
  std::string pem;
};

CertificateDetails ReadCertificateDetails(const x509_st* certificate);

}  // namespace postern::tls

#endif  // POSTERN_TLS_CERTIFICATE_DETAILS_H_
