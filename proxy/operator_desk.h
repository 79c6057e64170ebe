// What an operator asks of the running server, done: see operator_actions.h.
#ifndef POSTERN_PROXY_OPERATOR_DESK_H_
#define POSTERN_PROXY_OPERATOR_DESK_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/mover.h"
#include "proxy/operator_actions.h"
#include "proxy/session_desk.h"
#include "proxy/snapshot.h"
#include "proxy/state_file.h"
#include "proxy/worker.h"
#include "routing/backend_state.h"

namespace postern {

// Any thread. Everything passed in outlives it.
class OperatorDesk final : public OperatorActions {
 public:
  // `snapshot` gives the one in use.
  OperatorDesk(std::vector<Worker*> workers, routing::BackendStates* states,
               std::unique_ptr<StateFile> state_file,
               std::function<std::shared_ptr<const Snapshot>()> snapshot);
  // Moves in progress end undone.
  void Stop() { mover_.Stop(); }

  // An operator's wish for one backend; NotFound when it is not configured. `over`: of a drain, the
  // time in which its sessions end; 0: they may stay, and nothing that was to end still ends.
  absl::Status SetService(const std::string& backend, routing::Service service, DurationNs over,
                          const Signature& by);
  // The same for its weight, 0 to 10000; BackendWeight::kAsConfigured ends it.
  absl::Status SetWeight(const std::string& backend, int weight, const Signature& by);
  // What was changed before the call is in the state file when it returns OK.
  absl::Status Save();
  // The same after a change, which stays whatever becomes of it: the error says so.
  absl::Status SaveChange();
  // Orders to move users.
  Mover& mover() { return mover_; }
  // The backend is down, or (0) up again.
  void EndSessionsOf(const std::string& backend, DurationNs over, CloseReason reason);

  absl::StatusOr<SessionPage> Sessions(const SessionQuery& query, size_t limit) override;
  absl::StatusOr<KickResult> Kick(const SessionQuery& query, const Signature& by) override;
  absl::Status Hold(const HoldQuery& query, const Signature& by) override;
  absl::Status Release(const HoldQuery& query, const Signature& by) override;
  std::vector<HoldReport> Holds() override;
  absl::StatusOr<MoveReport> Move(const MoveOrder& order, const Signature& by) override;
  absl::StatusOr<MoveReport> MoveProgress(uint64_t id) override;
  absl::StatusOr<MovedUsers> Moved(const std::string& user, size_t limit) override;

 private:
  absl::StatusOr<SessionFilter> FilterFor(const SessionQuery& query) const;
  absl::StatusOr<std::string> Normalise(absl::string_view user) const;
  absl::StatusOr<MoveReport> MoveGroup(const MoveOrder& order, const Signature& by);
  absl::StatusOr<routing::Hold> HoldFor(const HoldQuery& query) const;
  // The state of a backend of the configuration in use.
  absl::StatusOr<std::shared_ptr<routing::BackendState>> BackendFor(const std::string& name) const;
  // Where the order leads, null for where the routes say; an error when nobody can log in there.
  absl::StatusOr<std::shared_ptr<routing::BackendState>> NewHome(const MoveOrder& order) const;
  void WakeHeld();

  const std::vector<Worker*> workers_;
  routing::BackendStates* const states_;
  const std::unique_ptr<StateFile> state_file_;
  const std::function<std::shared_ptr<const Snapshot>()> snapshot_;
  SessionDesk sessions_;
  Mover mover_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_OPERATOR_DESK_H_
