// Reads map files: one user per line, where it lives behind a tab.
//
//   # comment
//   alice@example.org<TAB>mail1
//   *@example.net<TAB>archive       every user of the domain without a line of its own
//
// Lines end in LF or CRLF; blank lines, blanks around the fields, a comment behind the target and a
// UTF-8 byte order mark are fine. Names are normalised like logins. A user may be given twice with
// the same target.
#ifndef POSTERN_ROUTING_USER_MAP_FILE_H_
#define POSTERN_ROUTING_USER_MAP_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "routing/options.h"
#include "routing/target_names.h"
#include "routing/user_map.h"

namespace postern::routing {

// Longer lines are a mistake.
inline constexpr size_t kMapLineBytesMax = 4096;
// Mistakes told before reading stops.
inline constexpr int kMapMistakesMax = 20;

// The file is read in pieces, never mapped: one that is cut short while we read it must not end the
// process. Errors are "file:line:column: what is wrong; how to mend it", one per line, in the order
// of the file; or why the file cannot be read, in the kernel's words.
absl::StatusOr<std::unique_ptr<const UserMap>> LoadUserMap(const std::string& file,
                                                           const UserOptions& options,
                                                           const TargetNames& targets,
                                                           const MapProgress& progress = nullptr);

// The same from memory; `name` stands for the file in errors.
absl::StatusOr<std::unique_ptr<const UserMap>> ParseUserMap(absl::string_view text,
                                                            const std::string& name,
                                                            const UserOptions& options,
                                                            const TargetNames& targets);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_USER_MAP_FILE_H_
