// Why a session ended, and how far it had come: one vocabulary for code, log line and metric label.
#ifndef POSTERN_PROXY_BASE_CLOSE_REASON_H_
#define POSTERN_PROXY_BASE_CLOSE_REASON_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern {

// Exactly one per session. The first reason given wins.
enum class CloseReason : uint8_t {
  kNone,                 // still alive
  kQuit,                 // QUIT went upstream and was answered, or the client did not wait for that
  kQuitBeforeLogin,      // the client said QUIT before it was logged in
  kClientClosed,         // orderly end by the client without QUIT
  kClientReset,          // transport error on the client's side
  kClientTls,            // the client's handshake or a record failed
  kClientNotPop3,        // an HTTP method, or TLS spoken to a plaintext port
  kProxyUntrusted,       // came from outside the listener's proxy_networks
  kProxyHeader,          // the PROXY header was malformed, or something else came
  kProxyTimeout,         // no whole PROXY header inside its deadline
  kProxyLoop,            // XCLIENT says that too many proxies stand in a row
  kHandshakeTimeout,     // no finished TLS handshake inside its deadline
  kLoginTimeout,         // not logged in inside the total deadline
  kIdleTimeout,          // logged in, and no byte in either direction for too long
  kTooManyBadCommands,   // protocol errors before login
  kTooManyLogins,        // refused logins
  kLineTooLong,          // a command line over its limit
  kStlsInjection,        // bytes behind STLS in the clear (RFC 2595 section 4)
  kUpstreamUnavailable,  // no candidate could be connected or logged in to
  kUpstreamClosed,       // upstream ended between responses without QUIT, or without answering it
  kUpstreamTruncated,    // upstream lost inside a response: the client was reset
  kUpstreamTls,          // a TLS record from upstream failed after login
  kAdmission,            // a limit of connections was reached
  kHeld,                 // the user was on hold for too long, or too many waited already
  kKicked,               // an operator ended it (postern kick, postern move)
  kSuperseded,           // it was idle, and another login of the user waited for it (in_use)
  kDrained,              // an operator drains its backend and ends what is left (drain --over)
  kBackendDown,          // health checks found its backend down (end_over)
  kShutdown,             // we are stopping
  kInternal,             // our own fault; the log has more
};
inline constexpr int kCloseReasonCount = static_cast<int>(CloseReason::kInternal) + 1;

// The word used in logs and in the metric label `reason`, for example "client_closed".
absl::string_view CloseReasonName(CloseReason reason);

// How far a session has come. Phases only advance, except that a refused login goes back from
// kUpstreamLogin to kLogin.
enum class Phase : uint8_t {
  kAccepted,
  kHandshake,      // TLS with the client
  kLogin,          // POP3 AUTHORIZATION state with the client
  kUpstreamLogin,  // connecting and logging in to a backend
  kRelay,          // joined
  kClosing,
};
inline constexpr int kPhaseCount = static_cast<int>(Phase::kClosing) + 1;

// The word used in logs and in the metric label `phase`, for example "upstream_login".
absl::string_view PhaseName(Phase phase);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_CLOSE_REASON_H_
