// Loads a router with its map files: says how far a long load is, and lets go of a large map
// without making anybody wait.
#ifndef POSTERN_PROXY_ROUTER_LOADER_H_
#define POSTERN_PROXY_ROUTER_LOADER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/base/time.h"
#include "routing/options.h"
#include "routing/router.h"

namespace postern {

// A load that takes more than a second logs a line each second and one at its end. The last owner
// of the router may be a worker whose session ends long after a reload: the memory of large maps is
// then given back by a thread made for it, because that takes milliseconds.
absl::StatusOr<std::shared_ptr<const routing::Router>> LoadRouter(
    const routing::RouterOptions& options);

// When to say something, and what.
class MapProgressLines {
 public:
  explicit MapProgressLines(TimeNs now) : told_(now) {}
  // "map FILE: 45 % of 280 MB read"; empty when a second has not passed since the last line.
  std::string Next(TimeNs now, const std::string& file, size_t bytes_done, size_t bytes_total);

 private:
  TimeNs told_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_ROUTER_LOADER_H_
