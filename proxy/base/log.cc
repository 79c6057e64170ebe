#include "proxy/base/log.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proxy/base/line_log.h"

namespace postern::log {
namespace {

constexpr size_t kQueueLines = 1024;
constexpr absl::Duration kFlushPatience = absl::Seconds(2);

std::atomic<Level> level_now{Level::kInfo};

// Started by the first line, flushed at exit, never destroyed: threads may log until the end.
// Null when there is no memory or descriptor for it.
LineLog* Stderr() {
  static LineLog* const log = [] {
    absl::StatusOr<std::unique_ptr<LineLog>> opened = LineLog::Open("-", kQueueLines);
    LineLog* line_log = opened.ok() ? opened->release() : nullptr;
    if (line_log != nullptr) std::atexit(Flush);
    return line_log;
  }();
  return log;
}

void Write(Level level, absl::string_view message) {
  if (!Enabled(level)) return;
  LineLog* const log = Stderr();
  if (log == nullptr) return;
  const std::string head =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ ", absl::Now(), absl::UTCTimeZone()),
                   LevelName(level), ": ");
  for (absl::string_view line : absl::StrSplit(message, '\n')) {
    log->Write(absl::StrCat(head, line));
  }
}

}  // namespace

absl::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::optional<Level> LevelFromName(absl::string_view name) {
  for (const Level level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError}) {
    if (name == LevelName(level)) return level;
  }
  return std::nullopt;
}

void Configure(Level level) { level_now = level; }
bool Enabled(Level level) { return level >= level_now.load(std::memory_order_relaxed); }

void Debug(absl::string_view message) { Write(Level::kDebug, message); }
void Info(absl::string_view message) { Write(Level::kInfo, message); }
void Warning(absl::string_view message) { Write(Level::kWarning, message); }
void Error(absl::string_view message) { Write(Level::kError, message); }

uint64_t DroppedLines() {
  LineLog* const log = Stderr();
  return log == nullptr ? 0 : log->dropped();
}

void Flush() {
  LineLog* const log = Stderr();
  if (log != nullptr) log->Flush(kFlushPatience);
}

}  // namespace postern::log
