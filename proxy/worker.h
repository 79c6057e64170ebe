// One thread's share of the work: its listeners, its sessions, its timers.
//
// A worker runs on any Io: UringIo in production, the simulated world in tests. Everything is
// worker thread only, except Post().
#ifndef POSTERN_PROXY_WORKER_H_
#define POSTERN_PROXY_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "metrics/worker_stats.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/bulk_pool.h"
#include "proxy/io/io.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"
#include "proxy/session.h"
#include "proxy/session_record.h"
#include "proxy/session_spread.h"
#include "proxy/snapshot.h"

namespace postern {

struct WorkerOptions {
  // Sessions beyond this are refused: -ERR [SYS/TEMP] in the clear, an end at once with TLS.
  size_t sessions_max = 100000;
  // The first session id; ids count up from here.
  uint64_t first_session_id = 1;
  // Of long transfers.
  BulkOptions bulk;
};

// A listening socket for one entry of the configuration.
struct ListenerSocket {
  std::string address;  // as the configuration's SocketAddress prints
  int fd = -1;
};

class Worker : public SessionOwner, public ListenerOwner {
 public:
  // Everything passed in outlives the worker. `sink` may be null.
  Worker(io::Io* io, metrics::WorkerStats* stats, SessionSink* sink, const WorkerOptions& options);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // All sessions are over and all listeners stopped: see done().
  ~Worker() override;

  // New sessions start under `snapshot`; those under way keep theirs. Listeners that the new
  // configuration still has go on, the others stop; `sockets` are the new ones.
  void Configure(std::shared_ptr<const WorkerSnapshot> snapshot,
                 std::vector<ListenerSocket> sockets);

  // Stops listening, ends sessions that are not logged in, and ends the others after `patience`.
  void Drain(DurationNs patience);
  // Ends every session now.
  void CancelAll(CloseReason reason);
  // Draining, and nothing is left.
  bool done() const {
    return draining_ && sessions_.empty() && over_.empty() && listeners_.empty() && walks_.empty();
  }

  SessionSpread& spread() { return spread_; }
  // Lets the logins go on whose users are on hold no more. Worker thread only.
  void WakeHeld() { held_.WakeReleased(); }

  // Calls `visit` for each session, oldest first, some hundred in a turn, then `done`. Sessions
  // that begin meanwhile are visited, too; those that end are not. `visit` may end sessions.
  void Walk(std::function<void(Session*)> visit, std::function<void()> done);

  // One turn of the loop, then whatever was posted.
  void RunTurn(DurationNs wait_max);
  // Runs `task` on the worker's thread soon. Any thread.
  void Post(std::function<void()> task) { mailbox_.Post(std::move(task)); }

  size_t sessions() const { return session_count_; }
  const BlockPool& blocks() const { return blocks_; }
  const BulkPool& bulk() const { return bulk_; }

  void OnSessionOver(Session* session) override;
  void OnAccepted(Listener* listener, int fd) override;
  void OnAcceptError(Listener* listener, int error) override;
  void OnListenerStopped(Listener* listener) override;

 private:
  struct SessionWalk {
    std::function<void(Session*)> visit;
    std::function<void()> done;
    Session* next;  // null: at the end
  };

  static void OnDrainDeadline(io::Timer& timer, void* owner);
  void ContinueWalk(SessionWalk* walk);
  void Bury();
  void CountTurn();

  io::Io* io_;
  metrics::WorkerStats* stats_;
  WorkerOptions options_;
  BlockPool blocks_;
  BulkPool bulk_;
  std::vector<char> scratch_;
  std::deque<BackendMemory> memories_;
  HeldLogins held_;
  SessionSpread spread_;
  WorkerContext context_;
  std::shared_ptr<const WorkerSnapshot> snapshot_;
  IntrusiveList<Listener> listeners_;
  IntrusiveList<Session> sessions_;
  // Over in this turn. They are deleted at its end, so that no callback returns into a deleted
  // session.
  IntrusiveList<Session> over_;
  std::vector<std::unique_ptr<SessionWalk>> walks_;  // in progress
  size_t session_count_ = 0;
  uint64_t next_session_id_;
  bool draining_ = false;
  io::Timer drain_deadline_;
  io::Io::Counts counted_;
  Mailbox mailbox_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_WORKER_H_
