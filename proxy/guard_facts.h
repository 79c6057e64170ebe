// What is known of the guard's tables and lists, for metrics and status.
#ifndef POSTERN_PROXY_GUARD_FACTS_H_
#define POSTERN_PROXY_GUARD_FACTS_H_

#include "metrics/collector.h"
#include "proxy/snapshot.h"

namespace postern {

// Fills facts->guard. Any thread.
void DescribeGuard(const Snapshot& snapshot, metrics::ServerFacts* facts);

}  // namespace postern

#endif  // POSTERN_PROXY_GUARD_FACTS_H_
