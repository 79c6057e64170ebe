#include "proxy/config/reachable.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"

namespace postern::config {

std::vector<size_t> RouteBackends(const Config& config) {
  std::set<size_t> reachable;
  for (const routing::RouteOptions& route : config.routing.routes) {
    // Maps, databases, rules and lookups may name any.
    const bool any = route.users.empty();
    for (size_t i = 0; i < config.backends.size(); ++i) {
      if (any || config.backends[i].name == route.backend) reachable.insert(i);
    }
    for (const routing::PoolOptions& pool : config.routing.pools) {
      if (route.pool.empty() || pool.name != route.pool) continue;
      for (const int backend : pool.backends) reachable.insert(static_cast<size_t>(backend));
    }
  }
  return std::vector<size_t>(reachable.begin(), reachable.end());
}

std::vector<size_t> ReachableBackends(const Config& config, const Listener& listener) {
  std::set<size_t> reachable;
  if (listener.backend >= 0) {
    reachable.insert(static_cast<size_t>(listener.backend));
  } else {
    // Clients who asked for none of the names.
    for (const size_t backend : RouteBackends(config)) reachable.insert(backend);
  }
  for (const ServerName& name : listener.server_names) {
    reachable.insert(static_cast<size_t>(name.backend));
  }
  return std::vector<size_t>(reachable.begin(), reachable.end());
}

const std::vector<pop3::Mechanism>& MechanismsOf(const Config& config, const Listener& listener) {
  return listener.mechanisms.has_value() ? *listener.mechanisms : config.dialogue.mechanisms;
}

int OwnBackend(const Listener& listener, absl::string_view server_name) {
  for (const ServerName& own : listener.server_names) {
    if (absl::EqualsIgnoreCase(own.name, server_name)) return own.backend;
  }
  return listener.backend;
}

int FirstPoolOf(const Config& config, int backend) {
  const std::vector<routing::PoolOptions>& pools = config.routing.pools;
  for (size_t i = 0; i < pools.size(); ++i) {
    const std::vector<int>& members = pools[i].backends;
    if (std::find(members.begin(), members.end(), backend) != members.end()) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace postern::config
