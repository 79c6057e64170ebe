// The log of the process itself, on stderr: "2026-01-31T08:15:00.123Z warning: text".
//
// Sessions have their own log (line_log.h). Calls never block: a stuck stderr drops lines and
// counts them. Any thread. Messages hold no secret; what a peer sent is escaped by the caller
// (proxy/base/escape.h).
#ifndef POSTERN_PROXY_BASE_LOG_H_
#define POSTERN_PROXY_BASE_LOG_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace postern::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error".
absl::string_view LevelName(Level level);
std::optional<Level> LevelFromName(absl::string_view name);

// Lines below `level` are left out; the default is kInfo. May be called again at any time.
void Configure(Level level);
bool Enabled(Level level);

// A message of several lines becomes as many lines of the log.
void Debug(absl::string_view message);
void Info(absl::string_view message);
void Warning(absl::string_view message);
void Error(absl::string_view message);

// Lines that stderr did not take in time.
uint64_t DroppedLines();
// Waits until what was said is out, at most two seconds. Runs by itself at exit.
void Flush();

}  // namespace postern::log

#endif  // POSTERN_PROXY_BASE_LOG_H_
