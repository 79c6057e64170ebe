// What is known of a session when it ends: the material of its one log line.
#ifndef POSTERN_PROXY_SESSION_RECORD_H_
#define POSTERN_PROXY_SESSION_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/guard_refusal.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/pop3/relay_counter.h"

namespace postern {

// Views are valid during SessionSink::OnSessionEnd() only. Text from peers is not escaped yet.
struct SessionRecord {
  uint64_t id = 0;
  absl::string_view listener;
  SocketAddress client;
  SocketAddress via;               // the neighbour that carried it; empty without one
  absl::string_view via_protocol;  // how the neighbour told us of the client
  absl::string_view via_session;   // the neighbour's own name for the session
  absl::string_view proxy_error;   // why the neighbour's PROXY header is none
  absl::string_view tls_version;   // empty without TLS
  absl::string_view tls_cipher;
  absl::string_view tls_server_name;
  absl::string_view certificate;  // common name of the client's verified certificate
  // Of our own handshake, which is then the TLS that the three above tell of.
  std::optional<bool> tls_resumed;
  absl::string_view tls_error;  // why the client's TLS failed
  absl::string_view user;       // normalised, of the last attempt; empty when none
  absl::string_view method;     // of the last attempt
  absl::string_view backend;    // of the last attempt
  absl::string_view pool;
  absl::string_view lookup;          // that was asked last; empty: none
  SocketAddress server;              // that a lookup named and no backend has; empty: none
  absl::string_view policy;          // what the policy service said last; empty: not asked
  DurationNs tarpit = 0;             // how long it made the login wait
  absl::string_view upstream_error;  // the last failure or refusal, already escaped
  GuardRefusal guard_refusal = GuardRefusal::kNone;  // the last one
  bool logged_in = false;
  int refused_logins = 0;
  int bad_commands = 0;
  Phase phase = Phase::kAccepted;  // how far it came
  CloseReason reason = CloseReason::kNone;
  DurationNs handshake = 0;  // zero when it did not take place
  DurationNs login = 0;      // accept to logged in
  DurationNs upstream = 0;   // of it: connecting and logging in to backends
  DurationNs undecided = 0;  // of it: waiting to ask a lookup again, in the last attempt
  DurationNs in_use = 0;     // of it: waiting for a locked maildrop, in the last attempt
  DurationNs total = 0;
  uint64_t bytes_from_client = 0;  // after login
  uint64_t bytes_to_client = 0;
  const pop3::RelayCounter* counter = nullptr;  // null when never joined
};

class SessionSink {
 public:
  virtual ~SessionSink() = default;
  // Worker thread; must not block.
  virtual void OnSessionEnd(const SessionRecord& record) = 0;
};

}  // namespace postern

#endif  // POSTERN_PROXY_SESSION_RECORD_H_
