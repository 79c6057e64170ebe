#include "proxy/health_checker.h"

#include <utility>

#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern {

HealthChecker::~HealthChecker() { CHECK(done()); }

void HealthChecker::Configure(std::shared_ptr<const WorkerSnapshot> snapshot) {
  Stop();
  const Snapshot& shared = *snapshot->shared;
  for (size_t i = 0; i < shared.config.backends.size(); ++i) {
    const config::Backend& backend = shared.config.backends[i];
    shared.backend_states[i]->BeginAgent(
        backend.agent.address.empty() ? "" : backend.agent.address.ToString(), io_->Now());
    if (!backend.agent.address.empty()) {
      const uint64_t seed = routing::MixBits(~seed_ ^ routing::StableHash(backend.name));
      auto* agent = new AgentProber(io_, &blocks_, snapshot, i, seed);
      agents_.PushBack(agent);
      agent->Start(&HealthChecker::OnAgentOver, this);
    }
    if (shared.config.backends[i].health.probe == config::Probe::kNone) {
      shared.backend_states[i]->BeginChecks("");
      continue;
    }
    const uint64_t seed =
        routing::MixBits(seed_ ^ routing::StableHash(shared.config.backends[i].name));
    auto* prober = new HealthProber(io_, &blocks_, snapshot, i, seed);
    probers_.PushBack(prober);
    prober->Start(&HealthChecker::OnOver, this);
  }
}

void HealthChecker::Stop() {
  for (HealthProber* prober = probers_.front(); prober != nullptr;) {
    HealthProber* next = probers_.Next(prober);
    prober->Stop();
    prober = next;
  }
  for (AgentProber* agent = agents_.front(); agent != nullptr;) {
    AgentProber* next = agents_.Next(agent);
    agent->Stop();
    agent = next;
  }
}

void HealthChecker::Tidy() {
  while (HealthProber* prober = over_.PopFront()) delete prober;
  while (AgentProber* agent = agents_over_.PopFront()) delete agent;
}

void HealthChecker::OnOver(HealthProber* prober, void* owner) {
  prober->Unlink();
  static_cast<HealthChecker*>(owner)->over_.PushBack(prober);
}

void HealthChecker::OnAgentOver(AgentProber* prober, void* owner) {
  prober->Unlink();
  static_cast<HealthChecker*>(owner)->agents_over_.PushBack(prober);
}

}  // namespace postern
