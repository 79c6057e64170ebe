// Numbers to Prometheus text. The only file that knows prometheus-cpp is exposition.cc.
#ifndef POSTERN_METRICS_EXPOSITION_H_
#define POSTERN_METRICS_EXPOSITION_H_

#include <string>
#include <vector>

#include "metrics/collector.h"
#include "metrics/process_stats.h"

namespace postern::metrics {

// Text format 0.0.4 of everything in names.h that has a value; see collector.h for which series are
// left out. `loops` is indexed by worker.
std::string ExpositionText(const StatusSummary& summary, const ProcessStats& process,
                           const std::vector<const LoopStats*>& loops);

}  // namespace postern::metrics

#endif  // POSTERN_METRICS_EXPOSITION_H_
