// What the kernel says about this process: memory, descriptors, CPU.
#ifndef POSTERN_METRICS_PROCESS_STATS_H_
#define POSTERN_METRICS_PROCESS_STATS_H_

#include <cstdint>
#include <optional>

namespace postern::metrics {

// A field is empty when the kernel would not tell, for example because a sandbox hides the file.
struct ProcessStats {
  std::optional<double> cpu_seconds;
  std::optional<uint64_t> resident_bytes;
  std::optional<uint64_t> virtual_bytes;
  std::optional<uint64_t> open_fds;
  std::optional<uint64_t> max_fds;  // empty when unlimited, too
};

// Reads getrusage, getrlimit and /proc/self; about 100 us and more with many descriptors. Any
// thread.
ProcessStats ReadProcessStats();

// Wall-clock start of the process, seconds since the epoch. It is computed from clocks that are
// adjusted, so ask once and keep the answer. 0 when unknown.
double ReadProcessStartTime();

}  // namespace postern::metrics

#endif  // POSTERN_METRICS_PROCESS_STATS_H_
