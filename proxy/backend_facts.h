// What is known of the backends and pools of a configuration, for metrics and status.
#ifndef POSTERN_PROXY_BACKEND_FACTS_H_
#define POSTERN_PROXY_BACKEND_FACTS_H_

#include "metrics/collector.h"
#include "proxy/snapshot.h"

namespace postern {

// Fills facts->backends and facts->pools, in the order of the configuration. Any thread.
void DescribeBackends(const Snapshot& snapshot, TimeNs now, metrics::ServerFacts* facts);

}  // namespace postern

#endif  // POSTERN_PROXY_BACKEND_FACTS_H_
