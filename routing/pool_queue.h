// Those who wait for a backend of a pool. Kept by the pool's name for the life of the process, so
// that a reload disturbs nobody who waits.
#ifndef POSTERN_ROUTING_POOL_QUEUE_H_
#define POSTERN_ROUTING_POOL_QUEUE_H_

#include <atomic>

#include "proxy/base/wait_line.h"

namespace postern::routing {

// Thread-safe.
struct PoolQueue {
  // Of those whom any backend of the pool may serve. Who can go to one only waits in the line of
  // that backend.
  WaitLine line;
  // In this line and in those of the pool's backends.
  std::atomic<int> waiting{0};
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_POOL_QUEUE_H_
