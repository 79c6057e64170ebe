// Waiting for a socket until a moment, for sources that block.
#ifndef POSTERN_ROUTING_LOOKUP_DEADLINE_H_
#define POSTERN_ROUTING_LOOKUP_DEADLINE_H_

#include <poll.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>

namespace postern::routing {

using Deadline = std::chrono::steady_clock::time_point;

inline bool Passed(Deadline deadline) { return std::chrono::steady_clock::now() >= deadline; }

// What is left, rounded up to whole milliseconds, for poll(2); 0 when it has passed.
inline int MillisecondsLeft(Deadline deadline) {
  constexpr std::chrono::milliseconds kDay{24 * 3600 * 1000};
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  if (left <= std::chrono::milliseconds::zero()) return 0;
  return static_cast<int>((left < kDay ? left : kDay).count());
}

// The same for libraries that want a timeval; at least a millisecond, because zero mostly means to
// look once.
inline timeval TimevalLeft(Deadline deadline) {
  const int left = MillisecondsLeft(deadline);
  timeval time{};
  time.tv_sec = left / 1000;
  time.tv_usec = left <= 0 ? 1000 : (left % 1000) * 1000;
  return time;
}

// poll(2) for one descriptor: what happened, 0 when the deadline passed first.
inline short WaitFor(int fd, short events, Deadline deadline) {
  pollfd entry{fd, events, 0};
  while (true) {
    const int ready = poll(&entry, 1, MillisecondsLeft(deadline));
    if (ready > 0) return entry.revents;
    if (ready == 0 && Passed(deadline)) return 0;
    if (ready < 0 && errno != EINTR) return POLLERR;
  }
}

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_DEADLINE_H_
