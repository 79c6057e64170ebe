// Numbers for the names of listeners and backends. An id is an index into WorkerStats' tables; the
// same name has the same id for the life of the process, so that a reload continues the counters of
// what it kept and a session may count for a backend that is no longer configured.
#ifndef POSTERN_METRICS_REGISTRY_H_
#define POSTERN_METRICS_REGISTRY_H_

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern::metrics {

// Thread-safe. No worker ever calls it: ids are handed to workers inside a snapshot.
class Registry {
 public:
  struct Listener {
    std::string name;
    bool active = false;  // in the current configuration
    bool used = false;    // in this one or an earlier one
  };
  struct Backend {
    std::string name;
    std::string pool;
    bool active = false;
    bool used = false;
  };

  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The id of a name, a new one when it was never seen. kResourceExhausted, with a sentence for the
  // operator, when WorkerStats has no room for another one. A new name is not active.
  absl::StatusOr<size_t> ListenerId(absl::string_view name);
  absl::StatusOr<size_t> BackendId(absl::string_view name, absl::string_view pool);

  // Says which ids the configuration in use has; all others become inactive. Called when a snapshot
  // is taken into use. CHECKs that the ids came from this object.
  void SetActive(const std::vector<size_t>& listeners, const std::vector<size_t>& backends);

  // Takes the ids back that never were in a configuration in use: those of a reload that failed.
  // Nothing may hold one any more.
  void DropUnused();

  // For WorkerStats::Grow().
  size_t listener_count() const;
  size_t backend_count() const;

  // Copies, indexed by id.
  std::vector<Listener> Listeners() const;
  std::vector<Backend> Backends() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Listener> listeners_;
  std::vector<Backend> backends_;
  std::map<std::string, size_t, std::less<>> listener_ids_;
  std::map<std::pair<std::string, std::string>, size_t> backend_ids_;  // pool, name
};

}  // namespace postern::metrics

#endif  // POSTERN_METRICS_REGISTRY_H_
