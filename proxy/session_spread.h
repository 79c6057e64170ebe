// Ends the sessions at a backend one by one over a time, so that their clients do not come back all
// at once: a drain with --over, or a backend that was found dead.
//
// First those between two responses, the oldest first; what is left when the time is over ends
// then, whatever it does. Users with a live session may log in again meanwhile and are ended in
// their turn. Each worker does it for its own sessions.
#ifndef POSTERN_PROXY_SESSION_SPREAD_H_
#define POSTERN_PROXY_SESSION_SPREAD_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "proxy/base/close_reason.h"
#include "proxy/base/time.h"
#include "proxy/io/io.h"

namespace postern {

class Session;

// Worker thread only.
class SessionSpread {
 public:
  // As Worker::Walk().
  using Walk = std::function<void(std::function<void(Session*)> visit, std::function<void()> done)>;

  SessionSpread(io::Io* io, Walk walk);
  SessionSpread(const SessionSpread&) = delete;
  SessionSpread& operator=(const SessionSpread&) = delete;
  ~SessionSpread();

  // Takes the place of what was begun for this backend and this reason before. What was begun for
  // another reason goes on beside it: a drain does not end because the backend is down for a while.
  void Begin(const std::string& backend, DurationNs over, CloseReason reason);
  // Ends no more of them for this reason.
  void Stop(const std::string& backend, CloseReason reason);
  bool busy() const { return !tasks_.empty(); }

 private:
  struct Task;

  static void OnTimer(io::Timer& timer, void* owner);
  void Look(const std::shared_ptr<Task>& task);
  void Looked(const std::shared_ptr<Task>& task);

  io::Io* io_;
  Walk walk_;
  std::map<std::pair<std::string, CloseReason>, std::shared_ptr<Task>> tasks_;  // by backend
};

}  // namespace postern

#endif  // POSTERN_PROXY_SESSION_SPREAD_H_
