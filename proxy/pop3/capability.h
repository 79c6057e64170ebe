// The answer to CAPA before login (RFC 2449): exactly what holds in this state, on this listener.
#ifndef POSTERN_PROXY_POP3_CAPABILITY_H_
#define POSTERN_PROXY_POP3_CAPABILITY_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proxy/pop3/mechanism.h"

namespace postern::pop3 {

// What a listener may promise on behalf of all the backends that it can lead to.
struct Offer {
  std::vector<std::string> capabilities;  // lines that each of them holds
  std::vector<Mechanism> withheld;        // carried mechanisms that some of them has not
};

struct CapabilityState {
  bool user_pass = false;                          // USER and PASS would be accepted now
  absl::Span<const absl::string_view> mechanisms;  // SASL, usable now; empty: no SASL line
  bool stls = false;                               // offered and not active
};

// The whole multi-line response. `held` are the lines that every backend behind the listener
// holds; what depends on the state (USER, SASL, STLS) is taken from `state` alone, and lines we
// could not keep our word on are left out: UTF8 and LANG (we refuse the commands), IMPLEMENTATION
// (of which server?), lines with control bytes or beyond 510 octets.
//
// Order: TOP, USER, SASL, RESP-CODES, AUTH-RESP-CODE, PIPELINING, UIDL, others as given, STLS.
std::string CapabilityReply(const CapabilityState& state, const std::vector<std::string>& held);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_CAPABILITY_H_
