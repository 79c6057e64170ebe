// Who the other end is by its certificate. Plain values: no OpenSSL here.
#ifndef POSTERN_TLS_PEER_CERTIFICATE_H_
#define POSTERN_TLS_PEER_CERTIFICATE_H_

#include <cstdint>
#include <string>

struct x509_st;

namespace postern::tls {

// The names are UTF-8 without control bytes. One that stands in the certificate twice, or holds a
// NUL or another control byte, is empty here: nobody is to choose which part of a name counts.
struct PeerCertificate {
  std::string common_name;      // CN of the subject
  std::string subject_email;    // emailAddress of the subject
  std::string alternate_email;  // rfc822Name among the subject's alternative names
  bool verified = false;        // up to a CA we trust, at the time of the handshake
  int64_t not_after_unix = 0;   // seconds; 0 when it cannot be read
};

// A longer name is none (RFC 5321 allows 254 octets in a mailbox).
inline constexpr int kCertificateNameBytesMax = 254;

// Everything but `verified`.
PeerCertificate ReadPeerCertificate(const x509_st* certificate);

}  // namespace postern::tls

#endif  // POSTERN_TLS_PEER_CERTIFICATE_H_
