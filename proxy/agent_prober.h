// Asks the agent of one backend again and again: connects, reads a line, tells the backend's state.
//
// An agent that cannot be reached, or says nothing that is understood, changes nothing: its last
// word stays, as with HAProxy. That is told once, and once more when it speaks again. Belongs to
// the thread of its Io.
#ifndef POSTERN_PROXY_AGENT_PROBER_H_
#define POSTERN_PROXY_AGENT_PROBER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "proxy/base/intrusive_list.h"
#include "proxy/channel.h"
#include "proxy/coro/task.h"
#include "proxy/probe_clock.h"
#include "proxy/snapshot.h"
#include "routing/backend_state.h"

namespace postern {

class AgentProber : public ListNode<AgentProber> {
 public:
  using Over = void (*)(AgentProber* prober, void* owner);

  // `backend` indexes the configuration of `snapshot` and has an agent. `seed` spreads the
  // questions of many backends over time.
  AgentProber(io::Io* io, BlockPool* blocks, std::shared_ptr<const WorkerSnapshot> snapshot,
              size_t backend, uint64_t seed);

  // Runs until Stop(); then tells `over`, after which the prober may be deleted.
  void Start(Over over, void* owner);
  // As HealthProber::Adopt(): false where another agent is to be asked.
  bool Adopt(std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend);
  // Soon. A question in progress is given up.
  void Stop();

  const std::string& backend_name() const { return state_->name(); }

 private:
  coro::Task<void> Run();
  // The agent's line; false, and why, when there is none.
  coro::Task<bool> Ask(std::string* line, std::string* why);
  coro::Task<bool> Read(std::string* line, std::string* why);

  const config::Agent& agent() const { return snapshot_->shared->config.backends[backend_].agent; }

  io::Io* io_;
  std::shared_ptr<const WorkerSnapshot> snapshot_;
  size_t backend_;
  std::shared_ptr<routing::BackendState> state_;
  uint64_t seed_;
  Channel channel_;
  ProbeClock clock_;
  // Adopted during a question; null: none.
  std::shared_ptr<const WorkerSnapshot> next_snapshot_;
  size_t next_backend_ = 0;
  bool silent_ = false;  // the last question had no answer
  Over over_ = nullptr;
  void* owner_ = nullptr;
};

}  // namespace postern

#endif  // POSTERN_PROXY_AGENT_PROBER_H_
