#include "proxy/base/guard_refusal.h"

#include <array>
#include <cstddef>

#include "proxy/base/check.h"

namespace postern {
namespace {

constexpr std::array<absl::string_view, kGuardRefusalCount> kNames = {
    "none",          "denied",      "rate_ip",         "rate_prefix",
    "rate_listener", "sessions_ip", "sessions_prefix", "sessions_user",
    "failures_user", "failures_ip", "failures_prefix", "login_delay",
    "policy",
};

}  // namespace

absl::string_view GuardRefusalName(GuardRefusal refusal) {
  const auto index = static_cast<size_t>(refusal);
  CHECK(index < kNames.size());
  return kNames[index];
}

}  // namespace postern
