// The FORWARD key of XCLIENT: fields of free choice that one proxy tells the next hop, where
// Dovecot has them as %{passdb:forward_NAME}. No I/O; fuzzed.
#ifndef POSTERN_PROXY_POP3_FORWARD_FIELDS_H_
#define POSTERN_PROXY_POP3_FORWARD_FIELDS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

// Name and value, in the order of the wire. Peer text where a neighbour said them: any bytes.
using ForwardFields = std::vector<std::pair<std::string, std::string>>;

// Letters, digits, '_', '-' and '.', at most 64 of them.
bool IsForwardName(absl::string_view name);

// `base64` is the value of FORWARD: base64 of "name=value" TAB "name=value" ..., in which \001
// stands in front of "0" for NUL, "1" for itself, "t" for TAB, "r" for CR and "n" for LF. Nothing
// when it is no base64. A field without "=" has no value. One with a name that is none or stands
// twice, or with an escape that is none, is left out: it is nothing that could be carried on
// faithfully. Its length is bounded by that of the command.
std::optional<ForwardFields> ReadForward(absl::string_view base64);

// The same backwards, in at most `bytes_max` bytes of base64: fields that do not fit any more are
// left out, from the first such one on. Empty when there are none.
std::string WriteForward(const ForwardFields& fields, size_t bytes_max);

// `own` in front of those of `told` that are not among them by name.
ForwardFields JoinForward(ForwardFields own, const ForwardFields& told);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_FORWARD_FIELDS_H_
