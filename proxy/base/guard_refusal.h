// Why the guard sent somebody away: one vocabulary for code, log line and metric label.
#ifndef POSTERN_PROXY_BASE_GUARD_REFUSAL_H_
#define POSTERN_PROXY_BASE_GUARD_REFUSAL_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern {

enum class GuardRefusal : uint8_t {
  kNone,            // let in
  kDenied,          // the address is on a list, or on none where that is asked for
  kRateIp,          // too many new connections of the address,
  kRatePrefix,      // of its network,
  kRateListener,    // or of all together
  kSessionsIp,      // as many sessions of the address as may be,
  kSessionsPrefix,  // of its network,
  kSessionsUser,    // or of the user
  kFailuresUser,    // too many failed logins as the user,
  kFailuresIp,      // from the address,
  kFailuresPrefix,  // or from its network
  kLoginDelay,      // logged in too short a time ago
  kPolicy,          // the policy service says no
};
inline constexpr int kGuardRefusalCount = static_cast<int>(GuardRefusal::kPolicy) + 1;

// The word used in logs and in the metric label `reason`, for example "sessions_ip".
absl::string_view GuardRefusalName(GuardRefusal refusal);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_GUARD_REFUSAL_H_
