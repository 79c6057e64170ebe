// What several servers' CAPA answers (RFC 2449) have in common, so that a proxy in front of them
// promises only what holds wherever a user's mail turns out to be.
#ifndef POSTERN_PROXY_POP3_COMMON_CAPABILITIES_H_
#define POSTERN_PROXY_POP3_COMMON_CAPABILITIES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace postern::pop3 {

// The lines of one server's answer before login, without the status line and the ".".
using CapabilityLines = std::vector<std::string>;

// A server that says more is not listened to.
inline constexpr size_t kCapabilityLinesMax = 64;

// Whether a line of an answer may be kept: printable ASCII, at most 510 octets.
bool IsCapabilityText(absl::string_view line);

// The lines that hold for every server, in the order of the first one:
//  * A line as it is, arguments included, where all of them have it. Ours to say, and therefore
//    left out: USER, SASL, STLS. Of one server and not of the farm: IMPLEMENTATION, CAPA. Commands
//    that we do not pass on: UTF8, LANG.
//  * EXPIRE (RFC 2449 section 6.7) where all have it, with the shortest time; "USER" behind it says
//    that it may be another after the login.
//  * LOGIN-DELAY (section 6.5) where any has it, with the longest time: the server must announce
//    the largest value that any user may meet. "USER" likewise.
CapabilityLines CommonCapabilities(absl::Span<const CapabilityLines* const> servers);

// The proxy's own delay between two logins of a user.
struct LoginDelay {
  uint32_t seconds = 0;  // the most that any user may meet; 0: there is none
  bool varies = false;   // by user
};

// Merges it into the LOGIN-DELAY of `lines`, or adds one: a user waits for the longer of the two.
void AddLoginDelay(const LoginDelay& own, CapabilityLines* lines);

// Whether the SASL line names the mechanism.
bool OffersMechanism(const CapabilityLines& server, absl::string_view mechanism);

// Who lacks what of the things that others of them have: "mail2 lacks PIPELINING, SASL XOAUTH2";
// empty when all say the same. IMPLEMENTATION and STLS, which depends on how we are connected,
// count for nothing. `names` are those of the servers; lines are escaped.
std::string DescribeDifferences(absl::Span<const std::string> names,
                                absl::Span<const CapabilityLines* const> servers);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_COMMON_CAPABILITIES_H_
