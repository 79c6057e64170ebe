// What a run found out. Each thread fills its own; they are merged at the end.
#ifndef POSTERN_BENCH_LOAD_RESULTS_H_
#define POSTERN_BENCH_LOAD_RESULTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "bench/load/histogram.h"
#include "proxy/base/time.h"

namespace postern::load {

// How a session ended.
enum class Ending : uint8_t {
  kGood,
  kSocket,     // no socket, or no address to connect from
  kConnect,    // refused, unreachable
  kTls,        // the handshake failed
  kGreeting,   // -ERR instead of a greeting
  kRefused,    // -ERR to the login, without [SYS/...] or [IN-USE]
  kTemporary,  // -ERR [SYS/TEMP] and the like
  kAccepted,   // +OK to a password that is wrong on purpose
  kProtocol,   // an answer that is none
  kCorrupt,    // a message is not what it must be
  kClosed,     // the server ended the connection
  kReset,      // it was reset
  kTimeout,    // --timeout-s passed
  kStopped,    // we were told to stop
};
inline constexpr size_t kEndings = 14;
absl::string_view Name(Ending ending);

// What is timed.
enum class Span : uint8_t {
  kConnect,
  kHandshake,
  kGreeting,
  kLogin,    // a good one, all of its commands
  kRefusal,  // the same for a password that is wrong on purpose
  kCapa,
  kStat,
  kList,
  kUidl,
  kRetrieve,
  kTop,
  kDele,
  kRset,
  kNoop,
  kQuit,     // until the server has ended the connection
  kSession,  // a good one that logged in as it should; from the intended start
};
inline constexpr size_t kSpans = 16;
absl::string_view Name(Span span);

struct Results {
  std::array<uint64_t, kEndings> endings{};
  // The first example of each, for people.
  std::array<std::string, kEndings> examples;
  std::array<Histogram, kSpans> spans;
  uint64_t logins = 0;
  uint64_t refusals = 0;  // expected ones: of passwords that are wrong on purpose
  uint64_t messages = 0;
  uint64_t message_bytes = 0;
  uint64_t verified = 0;                // of the messages: every byte
  uint64_t sizes_compared = 0;          // of the other messages: their size, with LIST
  uint64_t resumed = 0;                 // TLS sessions
  uint64_t handshakes = 0;              // TLS
  uint64_t late = 0;                    // open loop: started more than 10 ms after their time
  uint64_t behind = 0;                  // of these: this program itself was late to look
  uint64_t dropped = 0;                 // open loop: due and never started
  std::map<std::string, uint64_t> tls;  // "TLSv1.3 TLS_AES_128_GCM_SHA256 x25519"
  TimeNs first_start = kNever;
  TimeNs last_end = 0;
  double cpu_seconds = 0;      // of this process
  double thread_busy_max = 0;  // the share of its time that the busiest thread used CPU

  void Merge(const Results& other);
  uint64_t sessions() const;
  uint64_t good() const { return endings[0]; }
  uint64_t failed() const { return sessions() - good(); }
  // Every session that was to start did, and ended well.
  bool all_good() const { return failed() == 0 && dropped == 0; }
  double seconds() const;
  const Histogram& span(Span which) const { return spans[static_cast<size_t>(which)]; }
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_RESULTS_H_
