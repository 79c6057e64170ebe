// What a session keeps of the policy service that its login asked.
#ifndef POSTERN_PROXY_POLICY_VISIT_H_
#define POSTERN_PROXY_POLICY_VISIT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/time.h"

namespace postern {

// Of one login attempt. Worker thread only.
struct PolicyVisit {
  std::string password_hash;  // what the service hears of the password
  // For the log: "allowed", "tarpitted", "refused" or "unanswered"; empty: not known yet.
  absl::string_view verdict;
  DurationNs tarpit = 0;
  bool rejected = false;  // refused by it
};

}  // namespace postern

#endif  // POSTERN_PROXY_POLICY_VISIT_H_
