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
}

void HealthChecker::Tidy() {
  while (HealthProber* prober = over_.PopFront()) delete prober;
}

void HealthChecker::OnOver(HealthProber* prober, void* owner) {
  prober->Unlink();
  static_cast<HealthChecker*>(owner)->over_.PushBack(prober);
}

}  // namespace postern
