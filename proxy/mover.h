// Takes users from one backend to another without a failed login and without ever having a user at
// two backends at once. The recipe, for each:
//
//   hold       new logins wait in silence
//   barrier    every worker has been seen: all logins from before are in the affinity table
//   wait       until no session of the user is left; after `patience` those that are get ended
//   re-route   the table of overrides says where the user lives now, and the state file has it
//   release    the logins that waited go on, to the new place
//
// A thread of its own looks after all orders, twenty milliseconds apart while there are any. When
// it is stopped before the end of an order, the users that are not moved stay where they were.
#ifndef POSTERN_PROXY_MOVER_H_
#define POSTERN_PROXY_MOVER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "proxy/operator_actions.h"
#include "proxy/session_desk.h"
#include "routing/backend_state.h"

namespace postern {

class Mover {
 public:
  struct Parts {
    const SessionDesk* sessions = nullptr;
    routing::BackendStates* states = nullptr;
    std::function<void()> wake;          // logins whose users are on hold no more go on
    std::function<absl::Status()> save;  // what has changed is safe when it returns
    // Whether users may be sent to a backend of this name: an error when it is not configured.
    std::function<absl::Status(const std::string&)> check;
  };
  struct Order {
    std::vector<std::string> users;  // normalised, none twice
    std::vector<std::string> from;   // names of backends, for the report
    // Instead of users: all of a domain or a range of hashes, at the same moment. Those that have
    // an entry of their own stay where they are.
    std::optional<routing::UserGroup> group;
    std::shared_ptr<routing::BackendState> to;  // null: where the routes say
    DurationNs patience = 0;
    Signature by;
    // Others of the same wish of whom nothing is to be done: for the report.
    std::vector<MoveReport::User> settled;
  };

  // At most this many orders at a time, and as many over are remembered.
  static constexpr size_t kOrdersMax = 128;

  explicit Mover(Parts parts);
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;
  ~Mover();

  // Any thread. Why the user cannot be sent to `to` (null: where the routes say) now: another
  // order, in progress, says otherwise. Empty when none does.
  std::string UnderWay(absl::string_view user,
                       const std::shared_ptr<routing::BackendState>& to) const;
  // Any thread. ResourceExhausted when there are too many. Users whom another order sends elsewhere
  // are failed in the report.
  absl::StatusOr<MoveReport> Start(Order order);
  absl::StatusOr<MoveReport> Progress(uint64_t id) const;
  // Live sessions that a move of `group` to `to` would wait for.
  int64_t SessionsInTheWay(const routing::UserGroup& group,
                           const std::shared_ptr<routing::BackendState>& to) const;
  // No order takes users to this backend until Admit(). FailedPrecondition while one in progress
  // does, Aborted while one takes users away, who may yet stay: then nothing is kept out.
  absl::Status KeepOut(const std::string& backend);
  void Admit(const std::string& backend);
  // Releases whom it holds and ends the thread. Harmless when repeated.
  void Stop();

 private:
  struct Job;
  struct Batch;

  void Run();
  // One step of the jobs, without the lock.
  void Advance(const std::vector<std::shared_ptr<Job>>& jobs);
  void Begin(Job* job);
  // Whose sessions are all over: they may go.
  Batch ReadyOf(Job* job);
  // Gives them their new places, all or, when that fails, none.
  void Place(routing::Overrides* overrides, Batch* batch);
  static void Undo(routing::Overrides* overrides, const Batch& batch);
  void Finish(const Batch& batch);
  // What patience has come to an end for.
  void Press(Job* job);
  // The same for a group.
  void AdvanceGroup(Job* job);
  void FinishGroup(Job* job);
  // mutex_ is held.
  void Conclude(Job* job, const std::string& who);
  void KickRest(Job* job);
  void Fail(Job* job, const std::string& why);
  void Forget();
  // With the lock.
  std::string UnderWayLocked(absl::string_view user,
                             const std::shared_ptr<routing::BackendState>& to) const;
  // Whether there is room for the order, and nothing that it would cross.
  absl::Status MayStart(const Order& order) const;
  void TurnAway(Order* order) const;
  void Leave(const std::string& user);

  const Parts parts_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;  // oldest first, over or not
  // Whom the orders in progress hold: no two of them send anybody to different places, because the
  // one that is done last would win, whichever was given first.
  struct Journey {
    uint64_t id;  // of the first order
    std::shared_ptr<routing::BackendState> to;
    int orders;
  };
  absl::flat_hash_map<std::string, Journey> under_way_;
  absl::flat_hash_set<std::string> kept_out_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_MOVER_H_
