// What postern-load can be told on its command line.
#ifndef POSTERN_BENCH_LOAD_OPTIONS_H_
#define POSTERN_BENCH_LOAD_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/load/rate_plan.h"
#include "bench/load/replay.h"
#include "bench/load/script.h"
#include "bench/load/users.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/make_io.h"
#include "tls/options.h"

namespace postern::load {

enum class TargetTls { kOff, kStls, kImplicit };
enum class Auth { kUserPass, kApop, kPlain };

struct Options {
  SocketAddress target;
  std::string target_text;
  TargetTls tls = TargetTls::kOff;
  tls::ClientOptions tls_options;
  Auth auth = Auth::kUserPass;
  UserPattern users;
  std::shared_ptr<const UserFile> user_file;  // instead of `users`
  double skew = 0;                            // 0: all users alike
  std::string password = "secret";
  std::string wrong_password = "wrong";
  double wrong_percent = 0;  // sessions that use it, and must be refused

  ScriptName script = ScriptName::kPoll;
  ScriptDetails details;
  Script steps;                             // what `script` stands for; see SetScript()
  bool keep_sizes = true;                   // compare the sizes of messages with what LIST said
  std::shared_ptr<const ReplayLog> replay;  // ScriptName::kReplay
  double speed = 1;                         // of the replay
  bool map_users = false;                   // the replay's users are those of `users`

  uint32_t sessions = 10;  // at once
  uint64_t total = 1000;   // kEndless: as many as fit into `duration`
  DurationNs duration = 600 * kSecond;
  DurationNs timeout = 30 * kSecond;  // of one session, without its pauses
  RatePlan rate;                      // empty: closed loop
  Arrivals arrivals = Arrivals::kPoisson;
  // --find-capacity: `rate` is the first one, `duration` the time for the whole search.
  bool find_capacity = false;
  std::string objective = "p99<200ms,errors=0";  // as Objective::Parse() reads it
  DurationNs step = 5 * kSecond;
  double rate_max = 1e6;
  std::vector<SocketAddress> sources;
  int threads = 1;
  io::IoKind io = io::IoKind::kAuto;
  uint64_t seed = 1;
  std::string json;  // a file, or "-"
  bool quiet = false;

  static constexpr uint64_t kEndless = UINT64_MAX;

  bool open_loop() const { return !rate.empty() || script == ScriptName::kReplay; }
  uint64_t population() const {
    return user_file != nullptr ? user_file->size() : users.population;
  }
  // The longest time that a session spends waiting by its own will.
  DurationNs pauses() const;
  // `script`, with `details`, becomes `steps`.
  void SetScript(ScriptName name) {
    script = name;
    steps = MakeScript(name, details);
  }
};

absl::string_view Name(TargetTls tls);
absl::string_view Name(Auth auth);
absl::string_view Name(ScriptName script);
absl::string_view Name(Arrivals arrivals);

// Parses the command line. Errors are sentences. When the program is to end at once and well
// (--help), *exit_code is set and the value is of no use.
absl::StatusOr<Options> ParseCommandLine(int argc, char** argv, int* exit_code);

// "127.0.0.2" or "127.0.0.2-127.0.0.9", separated by commas; at most 4096 addresses.
absl::StatusOr<std::vector<SocketAddress>> ParseSources(absl::string_view text);

// OpenSSL names, with ":" between them. Those that begin with "TLS_" are for TLS 1.3, the others
// for 1.2; a version without any is not offered.
absl::Status ChooseCiphers(absl::string_view text, tls::ClientOptions* options);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_OPTIONS_H_
