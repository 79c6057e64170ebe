// Sums over workers, as Prometheus text and as plain numbers for the status page.
//
// A scrape reads the workers' counters with relaxed loads and takes no lock that a worker takes, so
// however often and however slowly somebody scrapes, no session waits. The numbers of one scrape
// are not one instant: each counter is exact, two of them may be some microseconds apart.
//
// Which series are there (1000 backends must stay readable and affordable):
//  * A listener or backend of the current configuration always has its plain counters and gauges
//    and all results of its logins, zeros included, so that rate() and alerts have a start.
//  * A series with `reason`, `version`, `cipher` or `verb` appears when it is first counted, and a
//    histogram with its first observation. Both stay from then on.
//  * A listener or backend that a reload took away stays as long as it has sessions, and afterwards
//    as long as the process lives if it ever counted anything: counters never jump back.
#ifndef POSTERN_METRICS_COLLECTOR_H_
#define POSTERN_METRICS_COLLECTOR_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "metrics/registry.h"
#include "metrics/worker_stats.h"
#include "proxy/base/time.h"

namespace postern::metrics {

struct BuildInfo {
  std::string version;
  std::string openssl;  // as the library in use names itself
};

// What is known of a backend besides what workers count.
struct BackendHealth {
  std::string name;
  std::string pool;
  std::string health;               // "unchecked", "up" or "down"
  std::string reason;               // why it is not usable; empty when it is
  bool up = true;                   // not found to be down
  double changed_seconds_ago = -1;  // of the health; negative: never changed
  uint64_t checks_good = 0;
  uint64_t checks_bad = 0;
  uint64_t changes = 0;
  double ejected_seconds_left = -1;  // negative: not ejected
  std::string eject_reason;          // of the last ejection
  uint64_t ejections = 0;
  std::vector<std::pair<std::string, uint64_t>> ejections_by;  // the same by reason
  std::string service = "enabled";  // what an operator has said; or "draining", "disabled"
  double service_seconds_ago = -1;  // negative: never changed
  std::string service_by;
  std::string service_reason;
  bool backup = false;
  int weight_configured = 0;
  double weight_now = 0;  // what its share of new users is measured by
  int weight_set = -1;    // by an operator; negative: not
  std::string weight_by;
  std::string weight_reason;
  std::string agent;     // its last words; empty without one
  int64_t seats = 0;     // sessions and logins in progress
  int64_t logins = 0;    // in progress
  int sessions_max = 0;  // 0: no limit
  int logins_max = 0;
  bool added = false;  // by hand, see config::Overlay
  std::string added_by;
  std::string added_reason;
};

// How a pool of the current configuration is doing.
struct PoolHealth {
  std::string name;
  int backends = 0;
  int usable = 0;
  bool panic = false;
  int waiting = 0;                   // logins
  int waiting_max = 0;               // 0: nobody waits
  bool capabilities_differ = false;  // its backends said different things to CAPA
};

// The guard's tables and lists; empty where nothing is guarded.
struct GuardFacts {
  struct Table {
    std::string name;
    uint64_t entries = 0;
    uint64_t capacity = 0;
    uint64_t bytes = 0;
    uint64_t evictions = 0;
  };
  struct List {
    std::string name;  // "allow" or "deny"
    uint64_t ranges = 0;
  };
  std::vector<Table> tables;
  std::vector<List> lists;
};

// Sum of a LatencyHistogram over workers.
struct LatencyTotals {
  std::array<uint64_t, LatencyHistogram::kBounds.size() + 1> buckets{};  // not cumulative
  double sum_seconds = 0;

  uint64_t Count() const;
  // 0 when nothing was observed.
  double MeanSeconds() const;
};

// How the source of a lookup can answer: label `result`, "found", "unknown", "temporary" and
// "forbidden".
inline constexpr size_t kLookupAnswerCount = 5;
absl::string_view LookupAnswerName(size_t answer);

// What is known of a lookup. Its threads are no workers, so it counts for itself.
struct LookupFacts {
  std::string name;
  std::array<uint64_t, kLookupAnswerCount> answers{};  // of the source
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t stale = 0;
  uint64_t coalesced = 0;
  uint64_t evictions = 0;
  uint64_t queue_full = 0;
  uint64_t breaker = 0;
  uint64_t timed_out = 0;
  uint64_t waiting = 0;  // sessions
  uint64_t queued = 0;   // questions
  uint64_t in_flight = 0;
  uint64_t entries = 0;
  bool breaker_open = false;
  LatencyTotals seconds;
};

// What only the server knows at the moment of a scrape.
struct ServerFacts {
  struct Certificate {
    std::string file;
    double expiry_unix_seconds = 0;
  };
  // How the workers ask the kernel: "uring", "epoll" or "uring+epoll"; empty before they start.
  std::string io;
  uint64_t config_generation = 0;
  uint64_t reloads_ok = 0;
  uint64_t reloads_failed = 0;
  double last_reload_unix_seconds = 0;
  bool draining = false;
  uint64_t log_lines_dropped = 0;
  uint64_t insecure_upstreams = 0;
  uint64_t holds = 0;         // of operators, and moves in progress
  uint64_t held_logins = 0;   // that wait for them
  uint64_t moved_users = 0;   // by name
  uint64_t moved_groups = 0;  // domains and ranges of hashes
  uint64_t remembered_homes = 0;
  uint64_t remembered_homes_evicted = 0;
  std::vector<Certificate> certificates;
  // Backends of the file that an operator has taken out.
  struct Removed {
    std::string name;
    std::string by;
    std::string reason;
  };
  std::vector<Removed> removed;
  // In the current configuration.
  std::vector<BackendHealth> backends;
  std::vector<PoolHealth> pools;
  GuardFacts guard;
  std::vector<LookupFacts> lookups;
  std::vector<LookupFacts> policy;  // who asks the policy service: "allow" and "report"
};

struct ListenerTotals {
  uint64_t connections = 0;
  int64_t sessions = 0;
  std::array<uint64_t, kLoginResultCount> logins{};
  std::array<uint64_t, kCloseReasonCount> closed{};
  std::array<uint64_t, kTlsVersionCount> tls_versions{};
  std::array<uint64_t, kTlsCipherCount> tls_ciphers{};
  uint64_t tls_resumed = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t bad_commands = 0;
  uint64_t stls_injections = 0;
  std::array<uint64_t, kGuardRefusalCount> guard_refusals{};
  uint64_t guard_delays = 0;
  double guard_delay_seconds = 0;
  uint64_t policy_tarpits = 0;
  double policy_tarpit_seconds = 0;
  uint64_t policy_unanswered = 0;
  LatencyTotals handshake;
  LatencyTotals login;
};

struct BackendTotals {
  uint64_t connects = 0;
  std::array<uint64_t, kUpstreamErrorCount> errors{};
  int64_t sessions = 0;
  uint64_t sessions_total = 0;
  std::array<uint64_t, kLoginResultCount> logins{};
  std::array<uint64_t, kCloseReasonCount> closed{};
  LatencyTotals connect;
  LatencyTotals greeting;
  LatencyTotals login;
  LatencyTotals queue;
  std::array<uint64_t, kInUseResultCount> in_use_waits{};
  LatencyTotals in_use;
  uint64_t bytes_to = 0;
  uint64_t bytes_from = 0;
  uint64_t bytes_spliced = 0;
  std::array<uint64_t, kRelayVerbCount> commands{};
  uint64_t messages_retrieved = 0;
};

// Everything the status page shows.
struct StatusSummary {
  struct Listener {
    std::string name;
    bool active = false;
    ListenerTotals totals;
  };
  struct Backend {
    std::string name;
    std::string pool;
    bool active = false;
    BackendTotals totals;
    std::optional<BackendHealth> health;  // of active ones
  };
  BuildInfo build;
  double start_unix_seconds = 0;
  double uptime_seconds = 0;
  size_t workers = 0;
  ServerFacts facts;
  std::vector<Listener> listeners;
  std::vector<Backend> backends;
};

// Thread-safe after construction; made and kept by the server. The workers' stats and the registry
// must outlive it. `facts` is called once per Collect() or Summary(), on the caller's thread.
class Collector {
 public:
  Collector(BuildInfo build, std::vector<const WorkerStats*> workers, const Registry* registry,
            std::function<ServerFacts()> facts);

  // Prometheus text format 0.0.4.
  std::string Collect() const;

  StatusSummary Summary() const;

 private:
  const BuildInfo build_;
  const std::vector<const WorkerStats*> workers_;
  const Registry* const registry_;
  const std::function<ServerFacts()> facts_;
  const double start_unix_seconds_;
  const TimeNs created_;
};

}  // namespace postern::metrics

#endif  // POSTERN_METRICS_COLLECTOR_H_
