// Peer text made safe for one line of a log.
#ifndef POSTERN_PROXY_BASE_ESCAPE_H_
#define POSTERN_PROXY_BASE_ESCAPE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace postern {

// Control bytes, quotes, backslashes, bytes of invalid UTF-8 and the Unicode controls that reorder
// text become \xNN; the result is cut to `bytes_max` bytes and ends in "..." when it was longer.
std::string EscapeForLog(absl::string_view text, size_t bytes_max = 256);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_ESCAPE_H_
