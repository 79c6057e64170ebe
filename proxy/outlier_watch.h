// Ejects backends that answer, but much worse than the others of their pool: see
// routing/outliers.h. Reads what the workers count, so that no login waits for a judgement.
#ifndef POSTERN_PROXY_OUTLIER_WATCH_H_
#define POSTERN_PROXY_OUTLIER_WATCH_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "metrics/worker_stats.h"
#include "proxy/snapshot.h"
#include "routing/outliers.h"

namespace postern {

// One thread; the counters are read while their workers write.
class OutlierWatch {
 public:
  // Of all workers; they must outlive the last Look().
  void ReadFrom(std::vector<const metrics::WorkerStats*> stats) { stats_ = std::move(stats); }
  void Configure(std::shared_ptr<const Snapshot> snapshot) { snapshot_ = std::move(snapshot); }
  // At regular times, not further apart than a tenth of the shortest window. Who is worse than the
  // others for a tenth of the window is ejected. Times never go back.
  void Look(TimeNs now);

 private:
  struct Watched {
    routing::LoginWindow window;
    TimeNs suspect_since = kNever;  // worse than the others at each look since then
  };
  using Windows = std::map<std::pair<std::string, std::string>, Watched>;

  void LookAtPool(size_t pool, TimeNs now, Windows* kept);
  routing::LoginTally TallyOf(size_t backend) const;

  std::vector<const metrics::WorkerStats*> stats_;
  std::shared_ptr<const Snapshot> snapshot_;
  Windows windows_;  // by pool and backend; those that are not compared have none
};

}  // namespace postern

#endif  // POSTERN_PROXY_OUTLIER_WATCH_H_
