// What operators write behind verbs, judged before the running server hears of it.
#ifndef POSTERN_PROXY_ADMIN_VERB_ARGUMENTS_H_
#define POSTERN_PROXY_ADMIN_VERB_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace postern::admin {

// Errors are sentences: what is wrong and how to write it. Safe for a terminal.

// Of a backend, as the configuration takes it.
absl::Status CheckBackendName(const std::string& name);
// Of --over: a time above 0, at most a day. Empty: there is none, which is good.
absl::Status CheckOver(const std::string& over);
// 0 to 10000; nothing for the word "configured".
absl::StatusOr<std::optional<int>> ReadWeight(const std::string& weight);

// "1 session", "2 sessions".
std::string CountText(uint64_t count, const std::string& what);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_VERB_ARGUMENTS_H_
