#include "metrics/registry.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "metrics/worker_stats.h"
#include "proxy/base/check.h"

namespace postern::metrics {
namespace {

template <typename Entry>
void Activate(const std::vector<size_t>& ids, std::vector<Entry>& entries) {
  for (Entry& entry : entries) entry.active = false;
  for (const size_t id : ids) {
    CHECK(id < entries.size());
    entries[id].active = entries[id].used = true;
  }
}

absl::Status Full(absl::string_view what, absl::string_view name, size_t max) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "no room for the counters of ", what, " \"", name, "\": a process counts for at most ", max,
      " different ", what,
      "s, those of earlier configurations included; use fewer, or restart to forget the "
      "earlier ones"));
}

}  // namespace

absl::StatusOr<size_t> Registry::ListenerId(absl::string_view name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string key(name);
  const auto found = listener_ids_.find(key);
  if (found != listener_ids_.end()) return found->second;
  const size_t id = listeners_.size();
  if (id >= WorkerStats::kListenersMax) return Full("listener", name, WorkerStats::kListenersMax);
  listeners_.push_back({key, false, false});
  listener_ids_.emplace(std::move(key), id);
  return id;
}

absl::StatusOr<size_t> Registry::BackendId(absl::string_view name, absl::string_view pool) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::pair<std::string, std::string> key{std::string(pool), std::string(name)};
  const auto found = backend_ids_.find(key);
  if (found != backend_ids_.end()) return found->second;
  const size_t id = backends_.size();
  if (id >= WorkerStats::kBackendsMax) return Full("backend", name, WorkerStats::kBackendsMax);
  backends_.push_back({key.second, key.first, false, false});
  backend_ids_.emplace(std::move(key), id);
  return id;
}

void Registry::SetActive(const std::vector<size_t>& listeners,
                         const std::vector<size_t>& backends) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Activate(listeners, listeners_);
  Activate(backends, backends_);
}

void Registry::DropUnused() {
  const std::lock_guard<std::mutex> lock(mutex_);
  // A configuration that is taken into use uses all that it has asked for, so they are the last.
  while (!listeners_.empty() && !listeners_.back().used) {
    listener_ids_.erase(listeners_.back().name);
    listeners_.pop_back();
  }
  while (!backends_.empty() && !backends_.back().used) {
    backend_ids_.erase({backends_.back().pool, backends_.back().name});
    backends_.pop_back();
  }
}

size_t Registry::listener_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return listeners_.size();
}

size_t Registry::backend_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return backends_.size();
}

std::vector<Registry::Listener> Registry::Listeners() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return listeners_;
}

std::vector<Registry::Backend> Registry::Backends() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return backends_;
}

}  // namespace postern::metrics
