// The active checks of all backends that have one, and the questions to their agents, on one Io.
//
// Not on the workers: a backend is asked once however many workers there are, a worker that is busy
// makes no backend look slow, and what a check found has a single writer. The checker needs nothing
// but an Io; HealthThread gives it a thread of its own, tests a simulated world.
#ifndef POSTERN_PROXY_HEALTH_CHECKER_H_
#define POSTERN_PROXY_HEALTH_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "proxy/agent_prober.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/health_prober.h"
#include "proxy/snapshot.h"

namespace postern {

// Everything on the Io's thread.
class HealthChecker {
 public:
  // `seed` makes the moments of the checks unlike those of other proxies.
  HealthChecker(io::Io* io, uint64_t seed) : io_(io), seed_(seed) {}
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;
  // done() is true.
  ~HealthChecker();

  // From now on checks the backends of `snapshot`. Of those it shares with the one before, what was
  // found stays known and the checks go on as if nothing had happened; of the others it is
  // forgotten, because nobody keeps it true.
  void Configure(std::shared_ptr<const WorkerSnapshot> snapshot);
  // Ends all checks, soon.
  void Stop();
  // After Stop(): nothing is left.
  bool done() const {
    return probers_.empty() && over_.empty() && agents_.empty() && agents_over_.empty();
  }
  // At the end of each turn of the loop.
  void Tidy();

 private:
  // What was found of the backends that are not in `shared`.
  void ForgetOthers(const Snapshot& shared);
  static void OnOver(HealthProber* prober, void* owner);
  static void OnAgentOver(AgentProber* prober, void* owner);

  io::Io* io_;
  uint64_t seed_;
  BlockPool blocks_;
  std::shared_ptr<const Snapshot> shared_;  // what is checked; null: nothing yet
  IntrusiveList<HealthProber> probers_;     // some may be stopping
  IntrusiveList<HealthProber> over_;        // deleted at the end of the turn
  IntrusiveList<AgentProber> agents_;       // likewise
  IntrusiveList<AgentProber> agents_over_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_HEALTH_CHECKER_H_
