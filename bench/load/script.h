// What one session does, step by step: the named scripts, and small files of people's own.
#ifndef POSTERN_BENCH_LOAD_SCRIPT_H_
#define POSTERN_BENCH_LOAD_SCRIPT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"

namespace postern::load {

enum class Verb : uint8_t {
  kCapa,
  kLogin,
  kStat,
  kList,
  kUidl,
  kRetr,  // messages `first` to `last`
  kTop,   // `lines` lines of them
  kDele,
  kRset,
  kNoop,
  kIdle,   // silent for `pause`, but for a NOOP every `noop_every`
  kPause,  // silent for `pause`
  kUntil,  // silent until the session is `pause` old
  kQuit,
  kClose,  // ends the connection without QUIT
};

struct Step {
  // "retr all": what STAT, LIST or UIDL counted.
  static constexpr uint64_t kAll = UINT64_MAX;

  Verb verb = Verb::kQuit;
  uint64_t first = 1;
  uint64_t last = 1;
  uint64_t lines = 0;
  DurationNs pause = 0;
  DurationNs noop_every = 0;  // 0: no NOOP

  friend bool operator==(const Step&, const Step&) = default;
};

// Ends in kQuit or kClose, and nowhere else.
using Script = std::vector<Step>;

enum class ScriptName {
  kHandshake,  // connect, TLS, greeting
  kLogin,      // and log in
  kPoll,       // and STAT, UIDL: a client that looks for new mail
  kFetch,      // and LIST, RETR
  kIdle,       // log in and stay silent
  kFile,       // --script-file
  kReplay,     // --replay: each session has its own
};

// What the named scripts can be told.
struct ScriptDetails {
  uint64_t fetch_max = 10;
  bool remove = false;
  DurationNs hold = 10 * kSecond;
  DurationNs noop_every = 0;
};
// Not for kFile and kReplay.
Script MakeScript(ScriptName name, const ScriptDetails& details);

// All that a session waits by itself.
DurationNs PausesOf(const Script& script);

// One step per line; "#" begins a comment. Errors are "FILE:LINE: what is wrong".
absl::StatusOr<Script> ParseScript(absl::string_view text, absl::string_view file);
absl::StatusOr<Script> ReadScript(const std::string& file);

// "200ms", "1.5s", "10us", "2m". Errors quote the text and show examples.
absl::StatusOr<DurationNs> ParseDuration(absl::string_view text);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_SCRIPT_H_
