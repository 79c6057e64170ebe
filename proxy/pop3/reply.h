// Status lines: reading a backend's, and making one safe to hand to a client.
#ifndef POSTERN_PROXY_POP3_REPLY_H_
#define POSTERN_PROXY_POP3_REPLY_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::pop3 {

// RFC 2449 section 4: a response line is at most 512 octets with its CRLF.
inline constexpr size_t kResponseBytesMax = 512;

enum class Status { kOk, kErr, kContinue, kInvalid };

// Views into the line that was parsed.
struct StatusLine {
  Status status = Status::kInvalid;
  absl::string_view code;  // "SYS/TEMP" of "-ERR [SYS/TEMP] try later"; empty when none
  absl::string_view text;  // behind the indicator and one space, code included
};

// `line` comes without its line end. "+OK", "-ERR" (any case) and "+" are told apart; anything
// else, and any line with a NUL, is kInvalid.
StatusLine ParseStatusLine(absl::string_view line);

// The first whole line of `input` without its CRLF or LF. Returns false, and leaves the results
// alone, when there is none yet. *consumed counts the line end.
bool TakeLine(absl::string_view input, absl::string_view* line, size_t* consumed);

// A backend's status line made fit for a client: one line, printable ASCII or valid UTF-8 (other
// bytes become '?'), ending in CRLF, at most 512 octets with it, always beginning with "+OK" or
// "-ERR". What is no status line at all is replaced by an -ERR [SYS/TEMP] of our own.
std::string CleanReply(absl::string_view line);

// The APOP challenge "<...@...>" inside a greeting, angle brackets included; empty when none.
absl::string_view FindApopChallenge(absl::string_view greeting_text);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_REPLY_H_
