// Monotonic time as plain integers, for the data plane.
#ifndef POSTERN_PROXY_BASE_TIME_H_
#define POSTERN_PROXY_BASE_TIME_H_

#include <cstdint>

namespace postern {

// Nanoseconds since an arbitrary start, from CLOCK_MONOTONIC (or from the simulation). Wall-clock
// jumps never move it.
using TimeNs = int64_t;
using DurationNs = int64_t;

inline constexpr DurationNs kMicrosecond = 1'000;
inline constexpr DurationNs kMillisecond = 1'000'000;
inline constexpr DurationNs kSecond = 1'000'000'000;
inline constexpr TimeNs kNever = INT64_MAX;

// Reads CLOCK_MONOTONIC. The loop reads it once a turn; code in a session asks Io::Now() instead.
TimeNs MonotonicNow();

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_TIME_H_
