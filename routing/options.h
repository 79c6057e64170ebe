// What an operator decides about users and backends. Plain values.
#ifndef POSTERN_ROUTING_OPTIONS_H_
#define POSTERN_ROUTING_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "routing/backend_load.h"

namespace postern::routing {

// How a login name becomes the key that routes, limits and logs.
struct UserOptions {
  bool lowercase_domain = true;
  bool lowercase_local = false;     // what stands in front of it, or the whole name without one
  std::string default_domain = "";  // appended as "@domain" to a name without one; empty: not
  std::string strip_domain = "";    // removed when the name ends in "@domain"; "*": any; empty: not
};

// One server. Connection details (TLS, login) live with the session layer; here a backend is a
// name and a share.
struct BackendOptions {
  std::string name;
  uint32_t weight = 100;   // relative share of its pool; 0 takes no new users
  bool backup = false;     // used only while no other backend of the pool is usable
  LoadLimits limits = {};  // over all workers
};

// "user-hash" is kRendezvous. The last two do not care who the user is.
enum class Balance { kRendezvous, kMaglev, kLeastSessions, kRoundRobin };
// Whether a user always has the same backend.
constexpr bool IsByUser(Balance balance) {
  return balance == Balance::kRendezvous || balance == Balance::kMaglev;
}

// Logins that wait for a backend of the pool instead of being turned away.
struct QueueRules {
  DurationNs wait = 0;  // of one login, at most; 0: nobody waits
  int waiting_max = 1000;
};

// What took a backend out. All but the first leave one that answers, if badly.
enum class EjectCause { kFailures, kSlowGreeting, kSlowLogin, kSysRefusals };
inline constexpr size_t kEjectCauseCount = 4;

// When a backend that answers is ejected because the others do better; see outliers.h.
struct OutlierRules {
  // Slower than so many times the others, by the medians of greetings and of accepted logins, and
  // slower than slow_floor; 0: never.
  double slow_factor = 0;
  DurationNs slow_floor = 500 * kMillisecond;
  // Such a share of the logins answered [SYS/...], and twice that of the others; 0: never.
  int sys_percent = 0;
  DurationNs window = 30 * kSecond;
  int logins_min = 20;  // in the window; with fewer nothing is known
  bool on() const { return slow_factor > 0 || sys_percent > 0; }
};

// When failed logins take a backend out for a while: passive, beside active checks.
struct EjectRules {
  int failures = 0;                // attempts in a row that failed before the login; 0: never
  DurationNs time = 10 * kSecond;  // the first time; each that follows soon is twice as long
  DurationNs time_max = 300 * kSecond;
  int share_max_percent = 50;  // of a pool's backends, out at the same time
  OutlierRules outliers = {};
};

// What is done for a login whose maildrop the backend calls in use.
struct InUseRules {
  DurationNs wait = 0;      // for it to become free, at most; 0: nothing is done
  DurationNs end_idle = 0;  // a session of the user that has been idle so long is ended; 0: never
};

// Backends that share the users' mail.
struct PoolOptions {
  std::string name;
  Balance balance = Balance::kRendezvous;
  std::vector<int> backends;  // indices into RouterOptions::backends
  // Whether a login whose own backend cannot be reached may go to the next one by hash. Right only
  // where every backend sees the same maildrops.
  bool failover = false;
  EjectRules eject;
  // Whether a user with a live session stays at its backend, whatever else is decided.
  bool affinity = true;
  // How long after a session its user is sent there again; with `affinity` and `failover` only.
  DurationNs affinity_for = 0;
  // A backend that has more than this many per cent of its share of the pool's sessions passes new
  // users on to the next one by hash; 0: never. With `failover` and balancing by user only.
  int load_bound_percent = 0;
  QueueRules queue = {};
  InUseRules in_use = {};
  // How long a backend that comes back takes to its full weight; with `failover` only.
  DurationNs slow_start = 0;
};

// One entry of the list that is tried in order. Exactly one of `map_file`, `cdb_file`,
// `rules_file`, `regex`, `users` and `lookup` is set.
struct RouteOptions {
  std::string map_file;    // user<TAB>backend-or-pool
  std::string cdb_file;    // the same as a constant database
  std::string rules_file;  // expression<TAB>backend-or-pool
  std::string regex;       // one such expression ...
  std::string target;      // ... and where it leads; with `regex` only
  std::string users;       // "name@domain", "name", "*@domain" or "*"
  std::string lookup;      // name of a lookup, which is asked
  // With `users` exactly one of pool and backend. With `lookup` at most one: where answers lead
  // that name nothing, and how the addresses they name are reached.
  std::string pool;
  std::string backend;
  int line = 0;  // where the configuration has it, for explanations
};

struct RouterOptions {
  UserOptions user;
  std::vector<BackendOptions> backends;
  std::vector<PoolOptions> pools;
  std::vector<RouteOptions> routes;
  std::vector<std::string> lookups;  // their names
};

// Told how far loading a map file is, about every 16 MiB and at its end, on the thread that loads.
using MapProgress =
    std::function<void(const std::string& file, size_t bytes_done, size_t bytes_total)>;

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_OPTIONS_H_
