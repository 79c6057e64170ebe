// One place outside the process that may know where a user lives: a database, a directory, a web
// service. Sources block; threads made for it ask them, never a worker.
#ifndef POSTERN_ROUTING_LOOKUP_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_SOURCE_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"

namespace postern::routing {

// What the client has shown to a listener that asks for certificates.
struct LookupCertificate {
  bool wanted = false;  // the listener asks
  // All empty: none was shown. Those that are shown are verified. The forms are nginx's.
  std::string subject;      // RFC 2253
  std::string issuer;       // likewise
  std::string serial;       // hexadecimal
  std::string fingerprint;  // SHA-1, hexadecimal
  std::string pem;          // has line ends
};

// Who asks. Every text is free of control bytes, but for the certificate itself.
struct LookupQuestion {
  std::string user;       // normalised; the only thing most sources look at
  std::string method;     // "plain", "apop", "cram-md5", ...: as nginx names them
  Secret password;        // as the client gave it; empty with a digest
  Secret digest;          // APOP, CRAM-MD5: the client's answer ...
  std::string challenge;  // ... to this
  std::string client_ip;
  std::string listener;
  std::string sni;  // empty: none, or no TLS
  bool tls = false;
  std::string tls_version;  // empty without TLS
  std::string tls_cipher;
  LookupCertificate certificate;
  // Where a PROXY header says the client came from, and what it had connected to; empty without
  // one.
  SocketAddress proxied_from, proxied_to;
  int attempt = 1;      // of this connection, from 1
  std::string message;  // ready to be sent, for sources that are told more: see policy_source.h
};

struct LookupAnswer {
  enum class Kind {
    kFound,      // `target` says where
    kUnknown,    // no such user here: the next route is asked
    kTemporary,  // not known now; `detail` says why. The client is told to come back
    kForbidden,  // the user may not log in, or the credentials are wrong
    kWait,       // nothing is decided yet: to be asked again after `wait`, by whoever asks
  };
  LookupAnswer() = default;
  static LookupAnswer Of(Kind kind, std::string detail = {}) {
    LookupAnswer answer;
    answer.kind = kind;
    answer.detail = std::move(detail);
    return answer;
  }

  Kind kind = Kind::kTemporary;
  // A backend's or a pool's name, or the address of a server that no [[backend]] names, as
  // "10.0.0.11", "10.0.0.11:110" or "[2001:db8::1]:110".
  std::string target;
  std::string login_user;              // as whom to log in there; empty: the user
  std::optional<Secret> login_secret;  // with which password; unset: the client's
  std::optional<DurationNs> ttl;       // how long it may be remembered; unset: as configured
  std::optional<DurationNs> wait;      // before the client hears of a refusal; of kWait: see there
  std::string refusal;                 // kForbidden, kTemporary: words for the client; empty: ours
  std::string detail;                  // for logs and explanations; no secret in it
};

// Made once per thread; never called from two at a time. Keeps its own connection and mends it.
class LookupSource {
 public:
  virtual ~LookupSource() = default;
  // Answers by `deadline`, or soon after with kTemporary. Never throws.
  virtual LookupAnswer Ask(const LookupQuestion& question,
                           std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_SOURCE_H_
