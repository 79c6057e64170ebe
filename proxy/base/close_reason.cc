#include "proxy/base/close_reason.h"

#include <array>

#include "proxy/base/check.h"

namespace postern {
namespace {

constexpr std::array<absl::string_view, kCloseReasonCount> kReasonNames = {
    "none",
    "quit",
    "quit_before_login",
    "client_closed",
    "client_reset",
    "client_tls",
    "client_not_pop3",
    "proxy_untrusted",
    "proxy_header",
    "proxy_timeout",
    "proxy_loop",
    "handshake_timeout",
    "login_timeout",
    "idle_timeout",
    "too_many_bad_commands",
    "too_many_logins",
    "line_too_long",
    "stls_injection",
    "upstream_unavailable",
    "upstream_closed",
    "upstream_truncated",
    "upstream_tls",
    "admission",
    "held",
    "kicked",
    "superseded",
    "drained",
    "backend_down",
    "shutdown",
    "internal",
};

constexpr std::array<absl::string_view, kPhaseCount> kPhaseNames = {
    "accepted", "handshake", "login", "upstream_login", "relay", "closing",
};

}  // namespace

absl::string_view CloseReasonName(CloseReason reason) {
  const auto index = static_cast<size_t>(reason);
  CHECK(index < kReasonNames.size());
  return kReasonNames[index];
}

absl::string_view PhaseName(Phase phase) {
  const auto index = static_cast<size_t>(phase);
  CHECK(index < kPhaseNames.size());
  return kPhaseNames[index];
}

}  // namespace postern
