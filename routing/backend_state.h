// What is known of one backend right now. Shared by every thread and kept by name for the life of
// the process, so that a reload forgets nothing.
//
// Logins read it without a lock: an atomic load says whether the backend may be used. Whoever
// changes it (the health checks) and whoever wants the reasons (status, logs) takes its mutex.
#ifndef POSTERN_ROUTING_BACKEND_STATE_H_
#define POSTERN_ROUTING_BACKEND_STATE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "proxy/base/wait_line.h"
#include "routing/affinity.h"
#include "routing/agent_report.h"
#include "routing/backend_load.h"
#include "routing/backend_weight.h"
#include "routing/holds.h"
#include "routing/maildrops.h"
#include "routing/options.h"
#include "routing/overrides.h"
#include "routing/pool_queue.h"
#include "routing/recent_homes.h"

namespace postern::routing {

// What active checks say. Not checked counts as usable.
enum class Health : uint8_t { kUnchecked, kUp, kDown };
absl::string_view HealthName(Health health);  // "unchecked", "up", "down"

// What an operator has said.
enum class Service : uint8_t {
  kEnabled,
  kDraining,  // no new users
  kDisabled,  // no logins at all, and no checks
};
absl::string_view ServiceName(Service service);  // "enabled", "draining", "disabled"

absl::string_view EjectCauseName(EjectCause cause);  // "slow_login"

// What the backend's agent says, for logins.
enum class AgentVerdict : uint8_t {
  kServe,  // also without an agent
  kDrain,  // no new users
  kOut,    // no logins at all
};

// How many checks in a row change a verdict. The first good one takes a backend from unchecked to
// up.
struct CheckRules {
  int rise = 2;  // good ones, from down to up
  int fall = 3;  // bad ones, to down
};

struct CheckResult {
  CheckResult() = default;
  bool known = true;  // false: the check failed on our side and says nothing about the backend
  bool good = false;
  // Whether the backend answered at all. One that answers wrongly is still better than nobody.
  bool reachable = true;
  std::string reason;  // why not; for people, without secrets, escaped
};

// A copy for people and metrics.
struct BackendReport {
  Health health = Health::kUnchecked;
  std::string reason;        // why it is down; empty otherwise
  TimeNs changed_at = 0;     // of the health; 0: never
  std::string last_failure;  // of the last bad check; empty when the last one was good
  uint64_t checks_good = 0;
  uint64_t checks_bad = 0;
  uint64_t changes = 0;      // of the health
  TimeNs ejected_until = 0;  // 0: not ejected now
  std::string eject_reason;  // of the last ejection
  uint64_t ejections = 0;
  std::array<uint64_t, kEjectCauseCount> ejections_by{};  // the same by EjectCause
  Service service = Service::kEnabled;
  TimeNs service_at = 0;                      // 0: never changed
  std::string service_by;                     // who
  std::string service_reason;                 // why; may be empty
  int weight = BackendWeight::kAsConfigured;  // what an operator has set
  TimeNs weight_at = 0;                       // 0: never set
  std::string weight_by;
  std::string weight_reason;
  int64_t ramp_percent = 100;  // of its weight, while it has just come back
  std::string agent;           // its last words, as "50%, drain"; empty without one
  int64_t seats = 0;           // sessions and logins in progress
  int64_t logins = 0;          // in progress
};

class BackendState {
 public:
  // `changes` is shared by the backends that pools may compare.
  explicit BackendState(absl::string_view name,
                        std::shared_ptr<ChangeCounter> changes = std::make_shared<ChangeCounter>(0))
      : name_(name), weight_(std::move(changes)) {}
  BackendState(const BackendState&) = delete;
  BackendState& operator=(const BackendState&) = delete;

  const std::string& name() const { return name_; }

  // Whether logins may go there. Never blocks.
  bool usable(TimeNs now) const {
    return health_.load(std::memory_order_relaxed) != Health::kDown && !ejected(now) &&
           service() == Service::kEnabled && agent() == AgentVerdict::kServe;
  }
  // Whether they may when every backend of the pool is out: not one that is known to be
  // unreachable, which would cost each of them a timeout and help nobody.
  bool usable_in_panic() const {
    return !unreachable_.load(std::memory_order_relaxed) && service() == Service::kEnabled &&
           agent() == AgentVerdict::kServe;
  }
  // Whether a user with a live session there may log in once more: a drain lets them, and so does
  // an ejection of one that answers.
  bool usable_for_live_users(TimeNs now) const {
    return health_.load(std::memory_order_relaxed) != Health::kDown &&
           (!ejected(now) || ejected_softly()) && service() != Service::kDisabled &&
           agent() != AgentVerdict::kOut;
  }
  // Whether users who have no other backend may log in: for them one that is slow is better than
  // none.
  bool usable_alone(TimeNs now) const {
    return health_.load(std::memory_order_relaxed) != Health::kDown &&
           (!ejected(now) || ejected_softly()) && service() == Service::kEnabled &&
           agent() == AgentVerdict::kServe;
  }
  // Whether all that keeps it out is an ejection, which a single login may put to the test.
  bool only_ejected(TimeNs now) const {
    return ejected(now) && health_.load(std::memory_order_relaxed) != Health::kDown &&
           service() != Service::kDisabled && agent() != AgentVerdict::kOut;
  }
  AgentVerdict agent() const { return agent_.load(std::memory_order_relaxed); }
  Service service() const { return service_.load(std::memory_order_relaxed); }
  bool ejected(TimeNs now) const { return now < ejected_until_.load(std::memory_order_relaxed); }
  // Of an ejection: whether the backend answers, only worse than others do.
  bool ejected_softly() const { return soft_.load(std::memory_order_relaxed); }
  Health health() const { return health_.load(std::memory_order_relaxed); }
  // Why not, as "down: connect to 10.0.0.11:110: Connection refused"; empty when usable.
  std::string Why(TimeNs now) const;

  // Checks of `what` begin: an address and a kind of check. What was found about something else
  // under this name is forgotten; an empty `what` ends the checks.
  void BeginChecks(absl::string_view what);
  // One check is over. Returns whether the next one should come soon, because the verdict may be
  // about to change. Changes are logged.
  bool OnCheck(const CheckResult& result, const CheckRules& rules, TimeNs now);

  // From now on the agent at `address` speaks; empty: none does, and what one said is forgotten.
  void BeginAgent(absl::string_view address, TimeNs now);
  // Its word. What it does not mention stays; changes are logged.
  void OnAgent(const AgentReport& report, TimeNs now);

  // A login attempt got an answer. Takes no lock while all is well.
  void OnSuccess(TimeNs now);
  // A login attempt failed before the password was sent. Returns whether there were as many in a
  // row as `rules` allow.
  bool OnFailure(const EjectRules& rules, TimeNs now);
  // Whether a login may try it now. Where as many attempts in a row have failed as the rules allow
  // only one in kTrialEvery may, and has taken its turn when this says so; the others would only
  // wait for the same timeout. Takes no lock.
  bool TakeTrial(TimeNs now);
  // Whether that turn has been taken, or is not due yet.
  bool awaits_trial(TimeNs now) const { return now < next_trial_.load(std::memory_order_relaxed); }
  static constexpr DurationNs kTrialEvery = kSecond;
  // Takes it out for the time the rules say. Until a login succeeds there, the next failure is one
  // too many.
  void Eject(const EjectRules& rules, absl::string_view reason, TimeNs now) {
    Eject(rules, EjectCause::kFailures, reason, now);
  }
  // The same for any cause; with another one than failures, failures count as before.
  void Eject(const EjectRules& rules, EjectCause cause, absl::string_view reason, TimeNs now);

  // An operator's wish, logged with who and why (both escaped). Kept until the next one.
  void SetService(Service service, absl::string_view who, absl::string_view why, TimeNs now);

  // A login that put an ejected backend to the test got an answer: the ejection is over, unless it
  // was for one that answers.
  void EndEjection(TimeNs now);

  // An operator's wish, logged like the one above; kAsConfigured ends it.
  void SetWeight(int weight, absl::string_view who, absl::string_view why, TimeNs now);
  void SetSlowStart(DurationNs time) { weight_.SetSlowStart(time); }
  const BackendWeight& weight() const { return weight_; }

  // Where to begin among the queues of several pools, so that each has its turn.
  size_t NextQueue() { return next_queue_.fetch_add(1, std::memory_order_relaxed); }

  BackendLoad& load() { return load_; }
  const BackendLoad& load() const { return load_; }
  // Of those who can go to this backend only.
  WaitLine& line() { return line_; }

  BackendReport Report(TimeNs now) const;

  // The lines of its CAPA before a login, as it last gave them; null: not known.
  std::shared_ptr<const std::vector<std::string>> capabilities() const;
  // Returns whether they are news.
  bool SetCapabilities(std::vector<std::string> lines);

 private:
  void Change(Health health, TimeNs now);
  std::string AgentWords() const;

  const std::string name_;
  std::atomic<Health> health_{Health::kUnchecked};
  std::atomic<bool> unreachable_{false};
  std::atomic<TimeNs> ejected_until_{0};
  std::atomic<Service> service_{Service::kEnabled};
  std::atomic<AgentVerdict> agent_{AgentVerdict::kServe};
  std::atomic<bool> soft_{false};      // the last ejection
  std::atomic<int> failures_{0};       // in a row
  std::atomic<TimeNs> next_trial_{0};  // 0: nobody has to wait for it
  std::atomic<bool> on_trial_{false};  // ejected, and no login has succeeded since
  mutable std::mutex mutex_;
  std::string checked_;
  std::string agent_address_;
  AgentReport agent_said_;  // all of it so far
  BackendReport report_;
  std::shared_ptr<const std::vector<std::string>> capabilities_;
  int good_in_a_row_ = 0;
  int bad_in_a_row_ = 0;
  DurationNs ejected_for_ = 0;  // the last time
  BackendWeight weight_;
  WaitLine line_;
  BackendLoad load_;
  std::atomic<size_t> next_queue_{0};
};

// In the order of RouterOptions::backends.
using BackendStateList = std::vector<std::shared_ptr<BackendState>>;

// All backends there ever were, by name. Thread-safe.
class BackendStates {
 public:
  // The same object for the same name, always.
  std::shared_ptr<BackendState> Get(absl::string_view name);
  std::vector<std::shared_ptr<BackendState>> All() const;
  // Which of them has which user.
  const std::shared_ptr<Affinity>& affinity() const { return affinity_; }
  // Where users were of late, in pools that care.
  const std::shared_ptr<RecentHomes>& recent_homes() const { return recent_homes_; }
  // Of the pool of this name: the same object, always.
  std::shared_ptr<PoolQueue> Queue(absl::string_view pool);
  // What operators have said of users, in time with the backends: across reloads.
  const std::shared_ptr<Overrides>& overrides() const { return overrides_; }
  const std::shared_ptr<Holds>& holds() const { return holds_; }
  // Who holds which user's maildrop, in pools that conciliate.
  const std::shared_ptr<Maildrops>& maildrops() const { return maildrops_; }

 private:
  const std::shared_ptr<Affinity> affinity_ = std::make_shared<Affinity>();
  const std::shared_ptr<RecentHomes> recent_homes_ = std::make_shared<RecentHomes>();
  const std::shared_ptr<ChangeCounter> changes_ = std::make_shared<ChangeCounter>(0);
  const std::shared_ptr<Overrides> overrides_ = std::make_shared<Overrides>();
  const std::shared_ptr<Holds> holds_ = std::make_shared<Holds>();
  const std::shared_ptr<Maildrops> maildrops_ = std::make_shared<Maildrops>();
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PoolQueue>, std::less<>> queues_;
  std::map<std::string, std::shared_ptr<BackendState>, std::less<>> states_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_BACKEND_STATE_H_
