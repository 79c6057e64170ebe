// Questions and orders about the live sessions of all workers.
//
// Nothing is shared with the workers: a task is posted to each, which walks its sessions some
// hundred at a time, and the asking thread waits for the answers with a deadline. A worker never
// waits for anybody.
#ifndef POSTERN_PROXY_SESSION_DESK_H_
#define POSTERN_PROXY_SESSION_DESK_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "proxy/base/close_reason.h"
#include "proxy/base/time.h"
#include "proxy/session_info.h"
#include "proxy/worker.h"

namespace postern {

// Any thread but a worker's.
class SessionDesk {
 public:
  // The workers outlive it. `patience` bounds every wait.
  explicit SessionDesk(std::vector<Worker*> workers, DurationNs patience = 5 * kSecond);

  // At most `limit` sessions, the oldest.
  SessionPage List(const SessionFilter& filter, size_t limit) const;
  // Ends those that are not on their way out already.
  KickResult Kick(const SessionFilter& filter, CloseReason reason) const;
  // Returns when every worker has been seen between two of its tasks: what another thread did
  // before the call, no code of a worker that began later has missed. False when time ran out.
  bool Barrier() const;

 private:
  // Runs `task` on each worker's thread; it calls the function it is given when it is done. False
  // when one of them is not in time: what `task` holds must live on.
  using Done = std::function<void()>;
  bool OnEach(const std::function<void(Worker*, size_t, Done)>& task) const;

  const std::vector<Worker*> workers_;
  const DurationNs patience_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_SESSION_DESK_H_
