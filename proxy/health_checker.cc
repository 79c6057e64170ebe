#include "proxy/health_checker.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern {
namespace {

// Lets those go on whose backend `snapshot` has in the same way, and takes them out of `backends`;
// stops the others.
template <typename Prober>
void AdoptOrStop(IntrusiveList<Prober>* probers,
                 const std::shared_ptr<const WorkerSnapshot>& snapshot,
                 absl::flat_hash_map<absl::string_view, size_t>* backends) {
  for (Prober* prober = probers->front(); prober != nullptr;) {
    Prober* next = probers->Next(prober);
    const auto found = backends->find(prober->backend_name());
    if (found != backends->end() && prober->Adopt(snapshot, found->second)) {
      backends->erase(found);
    } else {
      prober->Stop();
    }
    prober = next;
  }
}

}  // namespace

HealthChecker::~HealthChecker() { CHECK(done()); }

void HealthChecker::Configure(std::shared_ptr<const WorkerSnapshot> snapshot) {
  const Snapshot& shared = *snapshot->shared;
  ForgetOthers(shared);
  absl::flat_hash_map<absl::string_view, size_t> checked;
  absl::flat_hash_map<absl::string_view, size_t> asked;
  for (size_t i = 0; i < shared.config.backends.size(); ++i) {
    const config::Backend& backend = shared.config.backends[i];
    if (backend.health.probe != config::Probe::kNone) checked.emplace(backend.name, i);
    if (!backend.agent.address.empty()) asked.emplace(backend.name, i);
  }
  // Whoever goes on is struck from the lists, the others are stopped.
  AdoptOrStop(&probers_, snapshot, &checked);
  AdoptOrStop(&agents_, snapshot, &asked);
  for (size_t i = 0; i < shared.config.backends.size(); ++i) {
    const config::Backend& backend = shared.config.backends[i];
    routing::BackendState& state = *shared.backend_states[i];
    state.BeginAgent(backend.agent.address.empty() ? "" : backend.agent.address.ToString(),
                     io_->Now());
    if (asked.contains(backend.name)) {
      const uint64_t seed = routing::MixBits(~seed_ ^ routing::StableHash(backend.name));
      auto* agent = new AgentProber(io_, &blocks_, snapshot, i, seed);
      agents_.PushBack(agent);
      agent->Start(&HealthChecker::OnAgentOver, this);
    }
    if (backend.health.probe == config::Probe::kNone) state.BeginChecks("");
    if (checked.contains(backend.name)) {
      const uint64_t seed = routing::MixBits(seed_ ^ routing::StableHash(backend.name));
      auto* prober = new HealthProber(io_, &blocks_, snapshot, i, seed);
      probers_.PushBack(prober);
      prober->Start(&HealthChecker::OnOver, this);
    }
  }
  shared_ = snapshot->shared;
}

void HealthChecker::ForgetOthers(const Snapshot& shared) {
  if (shared_ == nullptr) return;
  const absl::flat_hash_set<std::shared_ptr<routing::BackendState>> kept(
      shared.backend_states.begin(), shared.backend_states.end());
  for (const std::shared_ptr<routing::BackendState>& state : shared_->backend_states) {
    if (kept.contains(state)) continue;
    state->BeginChecks("");
    state->BeginAgent("", io_->Now());
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
