// What of the machine's limits stands in the way of what the configuration wants.
#ifndef POSTERN_PROXY_ADMIN_DOCTOR_MACHINE_H_
#define POSTERN_PROXY_ADMIN_DOCTOR_MACHINE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/admin/doctor_report.h"
#include "proxy/config/config.h"

namespace postern::admin {

struct MachineFacts {
  uint64_t open_files = 0;  // limit of a process; 0: unknown
  bool of_running = false;  // it is the running server's own
  int port_first = 0;       // local ports of outgoing connections; 0: unknown
  int port_last = 0;
  int somaxconn = 0;           // 0: unknown
  int io_uring_disabled = -1;  // the sysctl; -1: unknown or not there
};

// `metrics`: what the running server said, or empty; then the limits of this process are taken, as
// the next server that is started from here would have them.
MachineFacts ReadMachineFacts(absl::string_view metrics);

void CheckMachine(const config::Config& config, const MachineFacts& facts, DoctorReport* report);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_DOCTOR_MACHINE_H_
