// What one worker counts. The worker thread is the only writer; the collector reads at scrape.
#ifndef POSTERN_METRICS_WORKER_STATS_H_
#define POSTERN_METRICS_WORKER_STATS_H_

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "metrics/counters.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/guard_refusal.h"

namespace postern::metrics {

// How a login attempt ended, seen from the client. Label `result`.
enum class LoginResult {
  kAccepted,
  kRefused,      // judged wrong by the backend or by our own secrets
  kUnknownUser,  // no route knows the user
  kUnavailable,  // no candidate could be reached or would talk
  kLimited,      // the guard refused it
  kSys,          // the backend answered -ERR [SYS/TEMP] or [SYS/PERM]: its own trouble, no verdict
};
inline constexpr int kLoginResultCount = 6;
absl::string_view LoginResultName(LoginResult result);

// What went wrong with a backend before a session was joined to it. Label `reason`.
enum class UpstreamError {
  kRefused,      // connect: ECONNREFUSED or no such unix socket
  kUnreachable,  // connect: any other error
  kConnectTimeout,
  kResolve,  // no address for the host name
  kGreetingTimeout,
  kBadGreeting,   // not "+OK": -ERR, garbage, too long, NUL
  kExtraLines,    // lines nobody asked for behind the greeting or the STLS reply
  kClosed,        // ended or reset before the login was answered
  kTls,           // handshake failed: certificate, version, plaintext
  kStlsRefused,   // STLS required and not to be had
  kXclient,       // XCLIENT wanted and not announced, or refused
  kLoginTimeout,  // no answer to USER, PASS or AUTH
  kBadReply,      // an answer that is no status line
  kLocal,         // no file descriptor or no memory on our side
  kOut,           // not asked: down, ejected, or its last logins have failed
  kFull,          // not asked: as many sessions or logins in progress as it may have
};
inline constexpr int kUpstreamErrorCount = 16;
absl::string_view UpstreamErrorName(UpstreamError error);

enum class TlsVersion { kTls12, kTls13, kOther };
inline constexpr int kTlsVersionCount = 3;
absl::string_view TlsVersionName(TlsVersion version);  // "TLSv1.2"; label `version`

enum class TlsCipher { kAes128Gcm, kAes256Gcm, kChacha20, kOther };
inline constexpr int kTlsCipherCount = 4;
absl::string_view TlsCipherName(TlsCipher cipher);  // "AES128-GCM"; label `cipher`

// Commands seen by the passive counter after login. Label `verb`.
enum class RelayVerb {
  kStat,
  kList,
  kRetr,
  kDele,
  kNoop,
  kRset,
  kTop,
  kUidl,
  kCapa,
  kQuit,
  kOther
};
inline constexpr int kRelayVerbCount = 11;
absl::string_view RelayVerbName(RelayVerb verb);

// Blocks of two workers may be neighbours on the heap; a cache line of its own keeps one worker's
// adds from slowing the other's.
struct alignas(64) ListenerStats {
  Counter connections;
  Gauge sessions_active;
  std::array<Counter, kLoginResultCount> logins;
  std::array<Counter, kCloseReasonCount> closed;
  std::array<Counter, kTlsVersionCount> tls_versions;  // finished handshakes
  std::array<Counter, kTlsCipherCount> tls_ciphers;
  Counter tls_resumed;
  Counter bytes_in;   // plaintext from clients
  Counter bytes_out;  // plaintext to clients
  Counter bad_commands;
  Counter stls_injections;
  std::array<Counter, kGuardRefusalCount> guard_refusals;
  Counter guard_delays;       // logins that had to wait for failures before
  Counter guard_delay_ns;     // how long, all together
  Counter policy_tarpits;     // logins that the policy service made wait
  Counter policy_tarpit_ns;   // how long, all together
  Counter policy_unanswered;  // logins of which it said nothing
  LatencyHistogram handshake_seconds;
  LatencyHistogram login_seconds;  // accept to the +OK of the login
};

// What came of logins that waited for a locked maildrop. The last: the client went, or something
// else was in the way by then.
enum class InUseResult : uint8_t { kLoggedIn, kGaveUp, kOther };
inline constexpr size_t kInUseResultCount = 3;
absl::string_view InUseResultName(InUseResult result);

struct alignas(64) BackendStats {
  Counter connects;  // attempts
  std::array<Counter, kUpstreamErrorCount> errors;
  Gauge sessions_active;  // joined
  Counter sessions;       // joined, total
  std::array<Counter, kLoginResultCount> logins;
  std::array<Counter, kCloseReasonCount> closed;  // joined sessions only
  LatencyHistogram connect_seconds;               // connect to established
  LatencyHistogram greeting_seconds;              // established to the greeting (TLS included)
  LatencyHistogram login_seconds;                 // USER or AUTH sent to the verdict
  LatencyHistogram queue_seconds;                 // logins that waited for it, also in vain
  std::array<Counter, kInUseResultCount> in_use;
  LatencyHistogram in_use_seconds;  // of each of those
  // By these a backend is compared with the others of its pool, not shown to anybody.
  LatencySpread greetings;  // as greeting_seconds
  LatencySpread accepted;   // as login_seconds, of accepted logins
  Counter sys_refusals;     // logins answered -ERR [SYS/...]
  Counter bytes_to_backend;
  Counter bytes_from_backend;
  std::array<Counter, kRelayVerbCount> commands;
  Counter bytes_spliced;       // of bytes_from_backend: moved inside the kernel
  Counter messages_retrieved;  // RETR answered +OK and ended
};

// The loop itself.
struct alignas(64) LoopStats {
  Counter turns;
  Counter completions;
  Counter accept_errors;
  Counter buffers_exhausted;  // receives that had to wait for a shared buffer
  Counter cq_overflows;
  Gauge connections_active;
};

// Blocks for listeners and backends never move once made, so a reload can add some while the
// worker counts and a scrape reads.
class WorkerStats {
 public:
  // More ids than these are refused by Registry, before anybody calls Grow().
  static constexpr size_t kListenersMax = 64;
  static constexpr size_t kBackendsMax = 4096;

  WorkerStats() = default;
  WorkerStats(const WorkerStats&) = delete;
  WorkerStats& operator=(const WorkerStats&) = delete;

  // Makes the blocks of all ids below the two numbers; never takes one away. Called before a
  // snapshot that uses these ids is posted to the worker. Thread-safe.
  void Grow(size_t listeners, size_t backends);

  // Any thread; the id must have been grown before.
  ListenerStats& listener(size_t id);
  BackendStats& backend(size_t id);
  LoopStats& loop() { return loop_; }
  const LoopStats& loop() const { return loop_; }

  // For readers: nullptr when the id has not been grown (yet).
  const ListenerStats* FindListener(size_t id) const;
  const BackendStats* FindBackend(size_t id) const;

 private:
  // Fixed-size tables of pointers: readers need no lock, writers of the table hold grow_mutex_.
  std::mutex grow_mutex_;
  std::array<std::atomic<ListenerStats*>, kListenersMax> listeners_{};
  std::array<std::atomic<BackendStats*>, kBackendsMax> backends_{};
  std::vector<std::unique_ptr<ListenerStats>> owned_listeners_;
  std::vector<std::unique_ptr<BackendStats>> owned_backends_;
  LoopStats loop_;
};

}  // namespace postern::metrics

#endif  // POSTERN_METRICS_WORKER_STATS_H_
