#include "proxy/config/reachable.h"

#include <set>

namespace postern::config {

std::vector<size_t> ReachableBackends(const Config& config) {
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
  for (const Listener& listener : config.listeners) {
    if (listener.backend >= 0) reachable.insert(static_cast<size_t>(listener.backend));
    for (const ServerName& name : listener.server_names) {
      reachable.insert(static_cast<size_t>(name.backend));
    }
  }
  return std::vector<size_t>(reachable.begin(), reachable.end());
}

}  // namespace postern::config
