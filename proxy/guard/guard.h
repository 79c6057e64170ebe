// Who is let in: limits of sessions, login failures, rates of new connections, lists of addresses,
// and the time between two logins of a user. Without I/O and without a clock.
//
// One guard for the process. What it counts outlives a reload; the rules come with each question,
// out of the snapshot of whoever asks. All workers share its tables, whose locks are many and
// short.
//
// How a session goes through it:
//
//   LetIn                  a new connection: lists and rates; nothing to give back
//   TakePlace              as many sessions of the address as may be?
//   BeginLogin, EndLogin   failures: how long to wait, or refused without asking anybody
//   MayLogIn               for users we know from this network: what Accept would refuse
//   Accept                 the backend said yes: the user's place, and the login delay
//
// **Nobody is locked out from afar.** A user's network in which a login succeeded is known for a
// while, and has an account of failures of its own: what fails as this user elsewhere, or as other
// users here, does not count, and what fails as this user here does not count elsewhere. Where
// users have no limit (failures.user = 0) there is no such account.
//
// **Nobody learns who exists.** Unknown users fail like known ones. What would tell of a user (as
// many sessions as may be, logged in just now) is said after a good login only, or to a network
// that is known.
#ifndef POSTERN_PROXY_GUARD_GUARD_H_
#define POSTERN_PROXY_GUARD_GUARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proxy/base/guard_refusal.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/guard/count_table.h"
#include "proxy/guard/fade_table.h"
#include "proxy/guard/keyed_hash.h"
#include "proxy/guard/options.h"

namespace postern::guard {

struct AddressLists;
class Guard;

// What one session holds of the guard. It gives everything back when it is destroyed. Worker thread
// only; the guard must outlive it.
class Visit {
 public:
  explicit Visit(Guard* guard) : guard_(guard) {}
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit();

  bool has_place() const { return has_place_; }
  // A login has begun and not ended.
  bool in_login() const { return user_ != 0; }
  // How long the login that began last had to wait, also when it is over.
  DurationNs delay() const { return delay_; }

 private:
  friend class Guard;

  Guard* guard_;
  bool has_place_ = false;
  bool known_ = false;  // the user, from this network
  // Keys; 0 is none. Those of places are counted.
  uint64_t ip_place_ = 0;
  uint64_t prefix_place_ = 0;
  uint64_t user_place_ = 0;
  uint64_t attempt_place_ = 0;
  // Of the login under way.
  uint64_t user_ = 0;
  uint64_t pair_ = 0;
  uint64_t ip_ = 0;
  uint64_t prefix_ = 0;
  DurationNs delay_ = 0;
};

// One table, for metrics.
struct TableReport {
  std::string name;
  size_t used = 0;
  size_t capacity = 0;
  size_t bytes = 0;  // at most; pages, huge ones too, that were never touched are not there
  uint64_t evictions = 0;
};

class Guard {
 public:
  // `key` is random and secret. `sessions_max` is the process's.
  Guard(const HashKey& key, size_t sessions_max);
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // Makes the tables that these options need and that are not there yet. Main thread, before the
  // options are given to a worker. Fails where the system has no memory for them; tables that were
  // made stay.
  absl::Status Prepare(const Options& options);

  // --- The rest: any thread. `options` have been prepared.

  static bool IsExempt(const Options& options, const SocketAddress& client) {
    return ContainsAddress(options.exempt, client);
  }

  // Whether a new connection is let in. `lists` may be null.
  GuardRefusal LetIn(const Options& options, const AddressLists* lists, const SocketAddress& client,
                     absl::string_view listener, TimeNs now);

  // Takes the places of the client's address and network. All or nothing.
  GuardRefusal TakePlace(const Options& options, const SocketAddress& client, Visit* visit);

  // Before anybody is asked about the credentials. When it is refused there is nothing to end;
  // otherwise visit->delay() must pass first. Attempts under way count as if they had failed, so
  // that guessing at the same time gains nothing.
  GuardRefusal BeginLogin(const Options& options, const SocketAddress& client,
                          absl::string_view user, TimeNs now, Visit* visit);
  // A login waits for something that has nothing to do with its credentials: meanwhile it is no
  // attempt under way.
  void PauseLogin(Visit* visit);
  // Before anybody is asked after all. False: too many others are under way, or have failed; ask
  // again later, or end the login.
  bool ResumeLogin(const Options& options, TimeNs now, Visit* visit);
  // After a verdict, or when there will be none. `wrong`: the credentials were judged, and wrong.
  void EndLogin(const Options& options, bool wrong, TimeNs now, Visit* visit);

  // In a login: whether Accept() would refuse, where that may be said before the login is good.
  GuardRefusal MayLogIn(const Options& options, DurationNs login_delay, TimeNs now,
                        const Visit& visit) const;
  // In a login that is good: makes the network a known one, takes the user's place and begins the
  // login delay. Refused: nothing was taken.
  GuardRefusal Accept(const Options& options, DurationNs login_delay, TimeNs now, Visit* visit);

  // Gives all places back. Called again, it does nothing.
  void Leave(Visit* visit);

  std::vector<TableReport> Report() const;
  // Sessions that were not counted because there was no room: 0 unless something is broken.
  uint64_t uncounted() const { return uncounted_.load(std::memory_order_relaxed); }

 private:
  enum class Kind : char {
    kUser,
    kPair,
    kIp,
    kPrefix,
    kListener,
  };

  uint64_t Key(Kind kind, absl::string_view bytes) const;
  uint64_t AddressKey(Kind kind, const Options& options, const SocketAddress& client) const;
  // False: there are `limit` already. *count: how many there are then; 0 when nobody counted.
  bool AddPlace(uint64_t key, int limit, uint64_t* place, uint32_t* count = nullptr);
  void GiveBack(uint64_t* place);
  // Counts an attempt of `account`, unless these and its failures are as many as may be.
  bool TakeAttempt(uint64_t account, const FailureRules& rules, TimeNs now, Visit* visit);
  // The keys of a login: visit->pair_, and the one of the user.
  uint64_t LoginKeys(const Options& options, const SocketAddress& client, absl::string_view user,
                     Visit* visit) const;
  // Raises *share to the part of `limit` that is used; true when all of it is.
  bool IsExhausted(uint64_t key, int limit, const FailureRules& rules, TimeNs now,
                   double* share) const;

  const HashKey key_;
  const size_t sessions_max_;
  std::atomic<uint64_t> uncounted_{0};
  // Of the pointers, for Report(). Whoever has options that were prepared needs no lock.
  mutable std::mutex mutex_;
  // Null until options ask for them, then the same for ever.
  std::unique_ptr<CountTable> places_;
  std::unique_ptr<FadeTable> failures_;
  std::unique_ptr<FadeTable> known_;
  std::unique_ptr<FadeTable> polls_;
  std::unique_ptr<FadeTable> rates_;
  std::unique_ptr<FadeTable> listeners_;
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_GUARD_H_
