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
  for (size_t i = 0; i < routing::kEjectCauseCount; ++i) {
    const auto cause = static_cast<routing::EjectCause>(i);
    backend.ejections_by.emplace_back(routing::EjectCauseName(cause), report.ejections_by[i]);
  }
  backend.service = std::string(routing::ServiceName(report.service));
  if (report.service_at != 0) backend.service_seconds_ago = Seconds(now - report.service_at);
  backend.service_by = report.service_by;
  backend.service_reason = report.service_reason;
  backend.weight_set = report.weight;
  backend.weight_by = report.weight_by;
  backend.weight_reason = report.weight_reason;
  backend.agent = report.agent;
  backend.seats = report.seats;
  backend.logins = report.logins;
  return backend;
}

}  // namespace

void DescribeBackends(const Snapshot& snapshot, TimeNs now, metrics::ServerFacts* facts) {
  for (size_t i = 0; i < snapshot.backend_states.size(); ++i) {
    metrics::BackendHealth backend = Describe(snapshot.backend_states[i]->Report(now), now);
    backend.name = snapshot.config.backends[i].name;
    backend.pool = snapshot.backend_pools[i];
    const routing::BackendOptions& options = snapshot.config.routing.backends[i];
    backend.backup = options.backup;
    backend.weight_configured = static_cast<int>(options.weight);
    backend.weight_now =
        static_cast<double>(snapshot.backend_states[i]->weight().Now(options.weight, now)) /
        routing::BackendWeight::kScale;
    backend.sessions_max = options.limits.sessions_max;
    backend.logins_max = options.limits.logins_max;
    facts->backends.push_back(std::move(backend));
  }
  for (size_t i = 0; i < snapshot.config.routing.pools.size(); ++i) {
    const routing::PoolStanding standing =
        snapshot.router->Standing(i, snapshot.backend_states, now);
    const routing::PoolOptions& pool = snapshot.config.routing.pools[i];
    metrics::PoolHealth health;
    health.name = pool.name;
    health.backends = standing.backends;
    health.usable = standing.usable;
    health.panic = standing.panic;
    health.capabilities_differ =
        snapshot.offers != nullptr && !snapshot.offers->Differences(i).empty();
    if (snapshot.pool_queues[i] != nullptr) {
      health.waiting = snapshot.pool_queues[i]->waiting.load(std::memory_order_relaxed);
      health.waiting_max = pool.queue.waiting_max;
    }
    facts->pools.push_back(std::move(health));
  }
}

}  // namespace postern
