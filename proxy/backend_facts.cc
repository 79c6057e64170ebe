#include "proxy/backend_facts.h"

#include <string>
#include <utility>

namespace postern {
namespace {

double Seconds(DurationNs duration) { return static_cast<double>(duration) / kSecond; }

metrics::BackendHealth Describe(const routing::BackendReport& report, TimeNs now) {
  metrics::BackendHealth backend;
  backend.health = std::string(routing::HealthName(report.health));
  backend.reason = report.reason;
  backend.up = report.health != routing::Health::kDown;
  if (report.changed_at != 0) backend.changed_seconds_ago = Seconds(now - report.changed_at);
  backend.checks_good = report.checks_good;
  backend.checks_bad = report.checks_bad;
  backend.changes = report.changes;
  if (report.ejected_until != 0) backend.ejected_seconds_left = Seconds(report.ejected_until - now);
  backend.eject_reason = report.eject_reason;
  backend.ejections = report.ejections;
  backend.service = std::string(routing::ServiceName(report.service));
  if (report.service_at != 0) backend.service_seconds_ago = Seconds(now - report.service_at);
  backend.service_by = report.service_by;
  backend.service_reason = report.service_reason;
  return backend;
}

}  // namespace

void DescribeBackends(const Snapshot& snapshot, TimeNs now, metrics::ServerFacts* facts) {
  for (size_t i = 0; i < snapshot.backend_states.size(); ++i) {
    metrics::BackendHealth backend = Describe(snapshot.backend_states[i]->Report(now), now);
    backend.name = snapshot.config.backends[i].name;
    backend.pool = snapshot.backend_pools[i];
    facts->backends.push_back(std::move(backend));
  }
  for (size_t i = 0; i < snapshot.config.routing.pools.size(); ++i) {
    const routing::PoolStanding standing =
        snapshot.router->Standing(i, snapshot.backend_states, now);
    facts->pools.push_back(
        {snapshot.config.routing.pools[i].name, standing.backends, standing.usable, standing.panic,
         snapshot.offers != nullptr && !snapshot.offers->Differences(i).empty()});
  }
}

}  // namespace postern
