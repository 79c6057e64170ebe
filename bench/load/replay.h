// Yesterday's sessions, from Postern's own session log (README.md, "The session log"), as work to
// do again.
#ifndef POSTERN_BENCH_LOAD_REPLAY_H_
#define POSTERN_BENCH_LOAD_REPLAY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/load/script.h"
#include "proxy/base/time.h"

namespace postern::load {

// One line of the log.
struct LoggedSession {
  enum class Result : uint8_t {
    kNone,  // no login was tried
    kLoggedIn,
    kRefused,
    kUnavailable,  // a login that nobody could judge; its password may have been right
  };
  DurationNs start = 0;   // when it began, from the beginning of the earliest
  DurationNs length = 0;  // from the connection to the end
  Result result = Result::kNone;
  bool quit = true;   // it said QUIT, or how it ended is not known
  uint32_t user = 0;  // index into ReplayLog::users()
  uint32_t messages = 0;
  // Other commands after the login.
  uint32_t stats = 0;
  uint32_t lists = 0;
  uint32_t unique_ids = 0;
  uint32_t tops = 0;
  uint32_t deletions = 0;
  uint32_t noops = 0;
};

class ReplayLog {
 public:
  // At most this many lines are taken.
  static constexpr size_t kSessionsMax = 10'000'000;

  // logfmt and JSON, line by line, in any order. Lines that are no session are counted, with the
  // number of the first and what is wrong with it. An error when no line is good.
  static absl::StatusOr<ReplayLog> Parse(absl::string_view text, absl::string_view file);
  static absl::StatusOr<ReplayLog> Read(const std::string& file);

  // By start.
  const std::vector<LoggedSession>& sessions() const { return sessions_; }
  const std::vector<std::string>& users() const { return users_; }
  uint64_t bad_lines() const { return bad_lines_; }
  // "FILE:LINE: what is wrong" of the first bad line; empty when there is none.
  const std::string& first_problem() const { return first_problem_; }
  // From the first start to the last.
  DurationNs span() const { return sessions_.back().start; }
  DurationNs length_max() const;

 private:
  std::vector<LoggedSession> sessions_;
  std::vector<std::string> users_;
  uint64_t bad_lines_ = 0;
  std::string first_problem_;
};

// What `session` did, at `speed` times its pace: the commands at once, then a pause until its end.
Script ReplayScript(const LoggedSession& session, double speed);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_REPLAY_H_
