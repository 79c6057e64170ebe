#include "proxy/admin/doctor_machine.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proxy/admin/address_text.h"

namespace postern::admin {
namespace {

// A session has two sockets; listeners, logs, rings and the admin endpoint need some more.
constexpr uint64_t kFilesPerSession = 2;
constexpr uint64_t kFilesBesides = 200;

bool ReadNumbers(const char* path, int* first, int* second = nullptr) {
  std::ifstream file(path);
  return static_cast<bool>(second == nullptr ? file >> *first : file >> *first >> *second);
}

void CheckOpenFiles(const config::Config& config, const MachineFacts& facts, DoctorReport* report) {
  if (facts.open_files == 0) return;
  const uint64_t needed =
      static_cast<uint64_t>(config.limits.sessions_max) * kFilesPerSession + kFilesBesides;
  const std::string limit =
      absl::StrCat("open files: ", facts.open_files,
                   facts.of_running ? " for the running server" : " for a server started here");
  if (facts.open_files >= needed) {
    return report->Good(absl::StrCat(limit, ", ", needed,
                                     " needed for limits.sessions = ", config.limits.sessions_max));
  }
  const uint64_t fits =
      facts.open_files > kFilesBesides ? (facts.open_files - kFilesBesides) / kFilesPerSession : 0;
  report->Warn(absl::StrCat(limit, " are enough for about ", fits,
                            " sessions, and limits.sessions = ", config.limits.sessions_max,
                            " wants ", needed),
               absl::StrCat("set LimitNOFILE=", needed,
                            " in the unit, or ulimit -n in the shell, or lower limits.sessions"));
}

void CheckPorts(const config::Config& config, const MachineFacts& facts, DoctorReport* report) {
  if (facts.port_first <= 0 || facts.port_last < facts.port_first) return;
  std::set<std::string> targets;
  for (const config::Backend& backend : config.backends) {
    if (!backend.address.is_unix()) targets.insert(AddressText(backend.address));
  }
  if (targets.empty()) return;
  // Each backend's address may be reached from each local port once.
  const int ports = facts.port_last - facts.port_first + 1;
  const auto most = static_cast<int64_t>(ports) * static_cast<int64_t>(targets.size());
  const std::string range = absl::StrCat("local ports: ", ports, " (", facts.port_first, " to ",
                                         facts.port_last, ") for each of ", targets.size(),
                                         targets.size() == 1 ? " backend" : " backends");
  if (most >= config.limits.sessions_max) return report->Good(range);
  report->Warn(absl::StrCat(range, ", fewer than limits.sessions = ", config.limits.sessions_max),
               "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\" (and in /etc/sysctl.d), or "
               "lower limits.sessions");
}

void CheckBacklog(const config::Config& config, const MachineFacts& facts, DoctorReport* report) {
  if (facts.somaxconn <= 0) return;
  int backlog = 0;
  for (const config::Listener& listener : config.listeners) {
    backlog = std::max(backlog, listener.backlog);
  }
  if (backlog <= facts.somaxconn) return;
  report->Warn(absl::StrCat("backlog = ", backlog,
                            " of a listener is cut to net.core.somaxconn = ", facts.somaxconn),
               absl::StrCat("sysctl -w net.core.somaxconn=", backlog, " (and in /etc/sysctl.d)"));
}

void CheckIo(const config::Config& config, const MachineFacts& facts, DoctorReport* report) {
  if (facts.io_uring_disabled < 1 || config.io == config::IoChoice::kEpoll) return;
  const std::string what = absl::StrCat(
      "kernel.io_uring_disabled = ", facts.io_uring_disabled,
      facts.io_uring_disabled == 1 ? " closes io_uring for most users" : " closes io_uring");
  if (config.io == config::IoChoice::kUring) {
    return report->Bad(what + ", and io = \"uring\" insists on it",
                       "sysctl -w kernel.io_uring_disabled=0, or io = \"auto\"");
  }
  report->Note(what + ": the server runs on epoll");
}

}  // namespace

MachineFacts ReadMachineFacts(absl::string_view metrics) {
  MachineFacts facts;
  for (absl::string_view line : absl::StrSplit(metrics, '\n')) {
    double value = 0;
    if (absl::ConsumePrefix(&line, "process_max_fds ") && absl::SimpleAtod(line, &value) &&
        value >= 1 && value < 1e15) {
      facts.open_files = static_cast<uint64_t>(value);
      facts.of_running = true;
    }
  }
  rlimit limit{};
  // The server raises its soft limit to the hard one.
  if (!facts.of_running && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
      limit.rlim_max != RLIM_INFINITY) {
    facts.open_files = limit.rlim_max;
  }
  ReadNumbers("/proc/sys/net/ipv4/ip_local_port_range", &facts.port_first, &facts.port_last);
  ReadNumbers("/proc/sys/net/core/somaxconn", &facts.somaxconn);
  if (!ReadNumbers("/proc/sys/kernel/io_uring_disabled", &facts.io_uring_disabled)) {
    facts.io_uring_disabled = -1;
  }
  return facts;
}

void CheckMachine(const config::Config& config, const MachineFacts& facts, DoctorReport* report) {
  CheckOpenFiles(config, facts, report);
  CheckPorts(config, facts, report);
  CheckBacklog(config, facts, report);
  CheckIo(config, facts, report);
}

}  // namespace postern::admin
