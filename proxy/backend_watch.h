// Notices that a backend whose sessions are then to end has gone down, or is up again.
#ifndef POSTERN_PROXY_BACKEND_WATCH_H_
#define POSTERN_PROXY_BACKEND_WATCH_H_

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/snapshot.h"

namespace postern {

// One thread.
class BackendWatch {
 public:
  struct Change {
    std::string backend;
    DurationNs end_over = 0;  // 0: it is up again
  };

  void Configure(std::shared_ptr<const Snapshot> snapshot) { snapshot_ = std::move(snapshot); }
  // What has changed since the last look, of backends with health.end_over.
  std::vector<Change> Look();

 private:
  std::shared_ptr<const Snapshot> snapshot_;
  std::set<std::string> down_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BACKEND_WATCH_H_
