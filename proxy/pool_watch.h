// Tells the operator when a pool runs out of backends, and when it has some again; and when its
// backends differ in their capabilities.
#ifndef POSTERN_PROXY_POOL_WATCH_H_
#define POSTERN_PROXY_POOL_WATCH_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/snapshot.h"

namespace postern {

// One thread.
class PoolWatch {
 public:
  void Configure(std::shared_ptr<const Snapshot> snapshot) { snapshot_ = std::move(snapshot); }
  // Looks at every pool; the sentences to be logged, for those that have changed.
  std::vector<std::string> Look(TimeNs now);

 private:
  enum class Mood { kWell, kPanic, kEmpty };

  // Adds what is new about the capabilities of one pool's backends.
  void LookAtCapabilities(size_t pool, std::vector<std::string>* sentences);

  std::shared_ptr<const Snapshot> snapshot_;
  std::map<std::string, Mood> moods_;               // by name; a pool that is not here was well
  std::map<std::string, std::string> differences_;  // by name; of capabilities, as last told
};

}  // namespace postern

#endif  // POSTERN_PROXY_POOL_WATCH_H_
