// What [guard] says about a policy service: see routing/lookup/policy_message.h.
#ifndef POSTERN_PROXY_CONFIG_POLICY_H_
#define POSTERN_PROXY_CONFIG_POLICY_H_

#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/config/lookup.h"

namespace postern::config {

struct Policy {
  // Who asks it: the first before a login, the second, where there is one, reports. Two, so that
  // reports in a queue keep nobody waiting. Empty: there is no service.
  std::vector<Lookup> askers;
  std::string nonce_file;                // of the password's hash; first line
  int hash_bits = 12;                    // of it, 1 to 255; 0: all
  bool fail_closed = false;              // nobody answers: the login goes no further
  DurationNs tarpit_max = 30 * kSecond;  // however long the service says

  bool on() const { return !askers.empty(); }
};

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_POLICY_H_
