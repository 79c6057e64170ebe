// What is known of the backends of a configuration, for metrics and status.
#ifndef POSTERN_PROXY_BACKEND_FACTS_H_
#define POSTERN_PROXY_BACKEND_FACTS_H_

#include <vector>

#include "metrics/collector.h"
#include "proxy/snapshot.h"

namespace postern {

// In the order of the configuration. Any thread.
std::vector<metrics::BackendHealth> DescribeBackends(const Snapshot& snapshot, TimeNs now);

}  // namespace postern

#endif  // POSTERN_PROXY_BACKEND_FACTS_H_
