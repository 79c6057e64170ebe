// What connections of one kind share: certificates and policy towards clients, trust towards one
// backend. Built at configuration time (an SSL_CTX costs 100 us), never per connection.
//
// Policy, on both sides: TLS 1.2 and 1.3, ECDHE key exchange, AEAD ciphers, no compression, no
// renegotiation, no early data (0-RTT can be replayed, and a POP3 login must not be).
#ifndef POSTERN_TLS_CONTEXT_H_
#define POSTERN_TLS_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/base/byte_arena.h"
#include "tls/engine.h"
#include "tls/options.h"

namespace postern::tls {

// A worker's own OpenSSL library context (OSSL_LIB_CTX), so that workers share no locks.
class Library {
 public:
  Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library();

 private:
  friend class ServerContext;
  friend class ClientContext;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Facts about one loaded certificate, for logs, `check` and metrics.
struct CertificateInfo {
  std::string file;
  std::vector<std::string> names;  // DNS names, wildcards included
  std::string key_kind;            // "ECDSA P-256", "RSA 2048"
  int64_t not_after_unix = 0;      // seconds
};

class TicketKeys;

class ServerContext {
 public:
  // Loads and checks every certificate. An error has a line for each that cannot be used, which
  // names the file and says how to mend it: unreadable, not PEM, key does not match, expired, not
  // yet valid, no names. `tickets` may be shared by the contexts of all workers and of later
  // configurations, so that a ticket works on each of them; without it the context makes its own
  // (tls/session_tickets.h). `library` must outlive the context.
  static absl::StatusOr<std::unique_ptr<ServerContext>> Create(
      const ServerOptions& options, Library* library,
      std::shared_ptr<TicketKeys> tickets = nullptr);
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // Worker thread only. Costs one SSL object: nothing is looked up or loaded here.
  std::unique_ptr<Engine> NewEngine(ByteArena* output) const;
  const std::vector<CertificateInfo>& certificates() const;
  // What an operator should know though it is no error, a sentence each: a key that everybody may
  // read, a certificate that is never chosen because an earlier one has its names.
  const std::vector<std::string>& warnings() const;

  // Follows the chain of the files, as a client would that trusts what this system trusts. Empty
  // when it gets to a CA; otherwise why not, for people. Files that cannot be loaded say nothing
  // here.
  static std::string ChainTrouble(const CertificateFiles& files, Library* library);

 private:
  ServerContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ClientContext {
 public:
  // Errors are sentences too: a CA file that cannot be read or holds no certificate, verification
  // without a name to verify.
  static absl::StatusOr<std::unique_ptr<ClientContext>> Create(const ClientOptions& options,
                                                               Library* library);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  std::unique_ptr<Engine> NewEngine(ByteArena* output) const;

 private:
  ClientContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_CONTEXT_H_
