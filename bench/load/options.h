// What postern-load can be told on its command line.
#ifndef POSTERN_BENCH_LOAD_OPTIONS_H_
#define POSTERN_BENCH_LOAD_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/make_io.h"
#include "tls/options.h"

namespace postern::load {

enum class TargetTls { kOff, kStls, kImplicit };
enum class Script {
  kHandshake,  // connect, TLS, greeting, QUIT
  kLogin,      // and log in
  kPoll,       // and STAT: a client that looks for new mail
  kFetch,      // and RETR, checked byte by byte
  kIdle,       // log in and stay silent
};
enum class Arrivals { kPoisson, kConstant };

// "user%d@example.org" and how many users there are.
struct UserPattern {
  std::string before = "user";
  std::string after = "@example.org";
  uint64_t population = 1000;

  std::string Name(uint64_t index) const;
};

struct Options {
  SocketAddress target;
  std::string target_text;
  TargetTls tls = TargetTls::kOff;
  tls::ClientOptions tls_options;
  UserPattern users;
  std::string password = "secret";
  Script script = Script::kPoll;
  uint64_t fetch_max = 10;         // messages of one session
  bool remove = false;             // DELE what was fetched
  DurationNs hold = 10 * kSecond;  // Script::kIdle
  uint32_t sessions = 10;          // at once
  uint64_t total = 1000;           // kEndless: as many as fit into `duration`
  DurationNs duration = 600 * kSecond;
  DurationNs timeout = 30 * kSecond;  // of one session, without `hold`
  double rate = 0;                    // sessions a second; 0: closed loop
  Arrivals arrivals = Arrivals::kPoisson;
  std::vector<SocketAddress> sources;
  int threads = 1;
  io::IoKind io = io::IoKind::kAuto;
  uint64_t seed = 1;
  std::string json;  // a file, or "-"
  bool quiet = false;

  static constexpr uint64_t kEndless = UINT64_MAX;
};

absl::string_view Name(TargetTls tls);
absl::string_view Name(Script script);
absl::string_view Name(Arrivals arrivals);

// Parses the command line. Errors are sentences. When the program is to end at once (--help, a
// mistake that was explained), *exit_code is set and the value is of no use.
absl::StatusOr<Options> ParseCommandLine(int argc, char** argv, int* exit_code);

// One "%d" is the number; without one everybody is the same user.
absl::StatusOr<UserPattern> ParseUsers(absl::string_view pattern, uint64_t population);
// "127.0.0.2" or "127.0.0.2-127.0.0.9", separated by commas; at most 4096 addresses.
absl::StatusOr<std::vector<SocketAddress>> ParseSources(absl::string_view text);

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_OPTIONS_H_
