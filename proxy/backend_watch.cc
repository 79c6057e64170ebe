#include "proxy/backend_watch.h"

namespace postern {

std::vector<BackendWatch::Change> BackendWatch::Look() {
  std::vector<Change> changes;
  if (snapshot_ == nullptr) return changes;
  std::set<std::string> down;
  for (size_t i = 0; i < snapshot_->config.backends.size(); ++i) {
    const config::Backend& backend = snapshot_->config.backends[i];
    if (backend.health.end_over <= 0) continue;
    if (snapshot_->backend_states[i]->health() != routing::Health::kDown) continue;
    if (down_.count(backend.name) == 0) changes.push_back({backend.name, backend.health.end_over});
    down.insert(backend.name);
  }
  for (const std::string& backend : down_) {
    if (down.count(backend) == 0) changes.push_back({backend, 0});
  }
  down_ = std::move(down);
  return changes;
}

}  // namespace postern
