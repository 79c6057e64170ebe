// Every second farm has a guard: its limits are never reached, but everything is counted, and in
// the end everything must have been given back, whatever has gone wrong.
#include "proxy/base/check.h"
#include "tests/sim/farm.h"

namespace postern::sim {
namespace {

constexpr int kNeverReached = 100'000;

}  // namespace

void Farm::PutGuard(uint64_t seed, Snapshot* snapshot) {
  if (seed % 2 == 0) return;
  guard::Options& options = snapshot->config.guard;
  options.entries = 64;
  options.sessions.user = options.sessions.ip = options.sessions.prefix = kNeverReached;
  options.connections.ip.count = options.connections.listener.count = kNeverReached;
  options.failures.on = true;
  options.failures.user = options.failures.ip = options.failures.prefix = kNeverReached;
  options.login_delays = true;  // the table; the delays themselves are 0
  snapshot->config.login_delays.resize(snapshot->config.routing.pools.size());
  snapshot->config.route_login_delays.assign(snapshot->config.routing.routes.size(), -1);
  guard_ = std::make_shared<guard::Guard>(guard::HashKey{seed, seed}, spec_.clients.size());
  CHECK(guard_->Prepare(options).ok());
  snapshot->guard = guard_;
}

size_t Farm::PlacesTaken() const {
  if (guard_ == nullptr) return 0;
  for (const guard::TableReport& table : guard_->Report()) {
    if (table.name == "sessions") return table.used;
  }
  return 0;
}

}  // namespace postern::sim
