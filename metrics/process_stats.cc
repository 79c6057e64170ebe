#include "metrics/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace postern::metrics {
namespace {

std::string ReadLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double ClockSeconds(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::optional<uint64_t> CountOpenFds() {
  struct Closer {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::unique_ptr<DIR, Closer> directory(opendir("/proc/self/fd"));
  if (directory == nullptr) return std::nullopt;
  uint64_t count = 0;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count > 0 ? count - 1 : 0;  // without the one that lists them
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    stats.max_fds = limit.rlim_cur;
  }
  stats.open_fds = CountOpenFds();

  // proc(5): /proc/self/statm is "size resident ...", in pages.
  const std::string line = ReadLine("/proc/self/statm");
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t pages = 0;
  if (fields.size() >= 2 && absl::SimpleAtoi(fields[0], &pages)) {
    stats.virtual_bytes = pages * page_bytes;
  }
  if (fields.size() >= 2 && absl::SimpleAtoi(fields[1], &pages)) {
    stats.resident_bytes = pages * page_bytes;
  }
  return stats;
}

double ReadProcessStartTime() {
  // proc(5): field 22 of /proc/self/stat is the start in clock ticks since boot. The second field
  // is the program's name in brackets and may hold anything, so count from the last bracket. The
  // start of the system is taken from the clocks, not from /proc/stat, which ProcSubset=pid hides.
  const std::string line = ReadLine("/proc/self/stat");
  const size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return 0;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(line).substr(bracket + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStartTime = 22 - 3;  // the first one here is field 3
  uint64_t ticks = 0;
  if (fields.size() <= kStartTime || !absl::SimpleAtoi(fields[kStartTime], &ticks)) return 0;
  const double since_boot = static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return ClockSeconds(CLOCK_REALTIME) - (ClockSeconds(CLOCK_BOOTTIME) - since_boot);
}

}  // namespace postern::metrics
