// A backend's greeting as the proxy may say it in its own place, so that the APOP challenge in it
// (RFC 1939 section 7) is the client's, too. No I/O; fuzzed.
#ifndef POSTERN_PROXY_POP3_RELAYED_GREETING_H_
#define POSTERN_PROXY_POP3_RELAYED_GREETING_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

// A longer challenge could not stand in a greeting of kResponseBytesMax with anything beside it.
inline constexpr size_t kRelayedChallengeBytesMax = 400;

struct RelayedGreeting {
  // Printable ASCII without angle brackets, without a response code and without spaces at its ends;
  // may be empty.
  std::string text;
  // "<...@...>", byte for byte as the backend said it, because the client's digest is made of it;
  // empty when there is none that every client would take for the same.
  std::string challenge;
};

// `line` is a greeting with +OK, without its line end. The challenge is good when the line has one
// pair of angle brackets and what stands in them is a msg-id of RFC 5322 in its plain form: one
// '@', dot-atom letters (and '/', '+' and '=' of base64) on its left, letters of a host name or an
// address on its right. Clients refuse others since CVE-2007-1558, and what two parsers read
// differently is good for an attacker only.
RelayedGreeting ReadRelayedGreeting(absl::string_view line);

// "+OK TEXT CHALLENGE\r\n" in at most kResponseBytesMax octets; what does not fit is cut from the
// text, never from the challenge. `front` stands in front of the text ("[XCLIENT] ", or nothing).
std::string WriteRelayedGreeting(absl::string_view front, absl::string_view text,
                                 absl::string_view challenge);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_RELAYED_GREETING_H_
