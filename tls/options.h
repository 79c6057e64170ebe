// What an operator decides about TLS, on either side of a session. Plain values: no OpenSSL here.
#ifndef POSTERN_TLS_OPTIONS_H_
#define POSTERN_TLS_OPTIONS_H_

#include <string>
#include <vector>

namespace postern::tls {

enum class Version { kTls12, kTls13 };

// A certificate chain (leaf first, PEM) and the private key of its leaf.
struct CertificateFiles {
  std::string chain;
  std::string key;
  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

// Whether clients are asked for a certificate. One that is shown must be good, or the handshake
// fails.
enum class ClientCertificate { kNone, kOptional, kRequired };

// Towards clients.
struct ServerOptions {
  // Chosen by SNI from the DNS names inside the certificates; the first one is the default for
  // unknown names and for clients without SNI. An ECDSA and an RSA certificate may share a name.
  std::vector<CertificateFiles> certificates;
  Version version_min = Version::kTls12;
  // OpenSSL cipher lists, empty: our own (ECDHE and AEAD only, AES-128-GCM first).
  std::string ciphers;       // TLS 1.2
  std::string ciphersuites;  // TLS 1.3
  std::string groups;        // empty: X25519 first, then P-256, P-384
  // TLS 1.3 tickets sent per full handshake, by kind of the certificate in use: with ECDSA a
  // resumed handshake costs as much as a full one, with RSA it saves the signature.
  int tickets_ecdsa = 0;
  int tickets_rsa = 1;
  // A resumed TLS 1.2 handshake costs a quarter of a full one, whatever the certificate.
  bool tickets_tls12 = true;
  // Over implicit TLS 1.3 the greeting leaves with our half of the handshake, before the client's
  // Finished: see Engine::SetFirstWords().
  bool early_greeting = true;
  // Where certificates are asked for there are no tickets at all: each connection proves anew who
  // the client is, against the CAs and the clock of today.
  ClientCertificate client_certificate = ClientCertificate::kNone;
  // PEM file of the CAs that may sign them, unless kNone. Their names are told to the clients.
  std::string client_ca_file;
};

// Towards backends.
struct ClientOptions {
  // PEM bundle of trusted CAs; empty: the system's.
  std::string ca_file;
  // The name (or IP address) the certificate must carry; also sent as SNI when it is a name.
  std::string server_name;
  // Skips every verification. Only the word `insecure` in the configuration sets it.
  bool insecure = false;
  Version version_min = Version::kTls12;
  Version version_max = Version::kTls13;
  // What follows is for load generators; Postern itself has no use for it.
  // Offers the ticket of an earlier connection.
  bool resume = false;
  // OpenSSL lists as in ServerOptions; empty: our own.
  std::string ciphers;
  std::string ciphersuites;
  std::string groups;
  // Offers the protocol "pop3" (ALPN).
  bool alpn = false;
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_OPTIONS_H_
