// The names of backends and pools, as files of users name them.
#ifndef POSTERN_ROUTING_TARGET_NAMES_H_
#define POSTERN_ROUTING_TARGET_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace postern::routing {

// What a file may name, and the number that stands for it.
using TargetNames = absl::flat_hash_map<std::string, uint32_t>;
// The number of a name that is both a backend and a pool; a line that uses it is refused.
inline constexpr uint32_t kAmbiguousTarget = UINT32_MAX;

// The number of `name`. Nothing when nobody has it or it is ambiguous; then *why, unless it is
// null, is a sentence that says so and how to mend it.
std::optional<uint32_t> FindTarget(const TargetNames& targets, absl::string_view name,
                                   std::string* why);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_TARGET_NAMES_H_
