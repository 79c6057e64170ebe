#include "proxy/backend_facts.h"

#include <string>
#include <utility>

namespace postern {

std::vector<metrics::BackendHealth> DescribeBackends(const Snapshot& snapshot, TimeNs now) {
  std::vector<metrics::BackendHealth> backends;
  for (size_t i = 0; i < snapshot.backend_states.size(); ++i) {
    const routing::BackendReport report = snapshot.backend_states[i]->Report();
    metrics::BackendHealth backend;
    backend.name = snapshot.config.backends[i].name;
    backend.pool = snapshot.backend_pools[i];
    backend.health = std::string(routing::HealthName(report.health));
    backend.reason = report.reason;
    backend.up = report.health != routing::Health::kDown;
    if (report.changed_at != 0) {
      backend.changed_seconds_ago = static_cast<double>(now - report.changed_at) / kSecond;
    }
    backend.checks_good = report.checks_good;
    backend.checks_bad = report.checks_bad;
    backend.changes = report.changes;
    backends.push_back(std::move(backend));
  }
  return backends;
}

}  // namespace postern
