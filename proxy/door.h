// What happens to a connection before it is a session.
#ifndef POSTERN_PROXY_DOOR_H_
#define POSTERN_PROXY_DOOR_H_

#include <cstddef>

#include "metrics/worker_stats.h"
#include "proxy/io/io.h"
#include "proxy/snapshot.h"

namespace postern {

// Whether the connection `fd` may become a session of the listener with this index: lists and rates
// of the guard. Who is not let in is closed without a session, a word or a log line, and counted: a
// flood costs little, and leaves the log to others. True where nothing is guarded, and behind a
// PROXY header, where the client is not known yet. Worker thread only.
bool LetIn(const Snapshot& snapshot, size_t listener, int fd, io::Io* io,
           metrics::WorkerStats* stats);

}  // namespace postern

#endif  // POSTERN_PROXY_DOOR_H_
