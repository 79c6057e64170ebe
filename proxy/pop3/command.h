// One command line of the AUTHORIZATION state, taken apart (RFC 1939 section 3, RFC 2449 section
// 4).
#ifndef POSTERN_PROXY_POP3_COMMAND_H_
#define POSTERN_PROXY_POP3_COMMAND_H_

#include "absl/strings/string_view.h"

namespace postern::pop3 {

enum class Verb {
  kUser,
  kPass,
  kApop,
  kAuth,
  kCapa,
  kStls,
  kNoop,
  kQuit,
  kXclient,
  kTransaction,  // known, but of no use before login: STAT, LIST, RETR, DELE, RSET, TOP, UIDL
  kUnknown,      // anything else, the empty line too
};

// Views into the line that was parsed.
struct Command {
  Verb verb = Verb::kUnknown;
  absl::string_view argument;  // everything behind the verb and one space, spaces included
};

// `line` comes without its line end. The verb is matched in any case; nothing may stand before it.
Command ParseCommand(absl::string_view line);

// True when the line holds 0x00-0x1F or 0x7F. Bytes above 0x7F are not ours to judge.
bool HasControlBytes(absl::string_view text);

// True when the line's first word, ended by a space (or by the end of the line where
// `line_is_whole`), is an HTTP method: a browser or a cross-protocol attack, never a mail client.
bool StartsWithHttpMethod(absl::string_view line, bool line_is_whole);

// `text` without the spaces at its end.
absl::string_view WithoutTrailingSpaces(absl::string_view text);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_COMMAND_H_
