#include "routing/target_names.h"

#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"

namespace postern::routing {

std::optional<uint32_t> FindTarget(const TargetNames& targets, absl::string_view name,
                                   std::string* why) {
  const auto found = targets.find(name);
  if (found != targets.end() && found->second != kAmbiguousTarget) return found->second;
  if (why != nullptr) {
    *why = absl::StrCat("\"", EscapeForLog(name, 64),
                        found == targets.end()
                            ? "\" is neither a backend nor a pool; add it to the configuration or "
                              "correct the name"
                            : "\" is the name of a backend and of a pool; rename one of them");
  }
  return std::nullopt;
}

}  // namespace postern::routing
