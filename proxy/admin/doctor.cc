#include "proxy/admin/doctor.h"

#include <signal.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "proxy/admin/client.h"
#include "proxy/admin/doctor_files.h"
#include "proxy/admin/doctor_lookups.h"
#include "proxy/admin/doctor_machine.h"
#include "proxy/admin/doctor_network.h"
#include "proxy/admin/doctor_report.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/io/make_io.h"
#include "tls/context.h"

namespace postern::admin {
namespace {

// A few lines from one server at a time.
constexpr uint32_t kReceiveBufferBytes = 4096;
constexpr uint32_t kReceiveBuffers = 8;

void Print(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string Counted(size_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

// "/etc/postern/postern.toml:3:9: what is wrong; how to mend it".
void TellMistakes(const absl::Status& status, DoctorReport* report) {
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n', absl::SkipEmpty())) {
    const size_t mend = line.find("; ");
    report->Bad(line.substr(0, mend), mend == absl::string_view::npos ? "" : line.substr(mend + 2));
  }
}

// What the running server's /metrics says; empty when there is none.
std::string AskServer(const config::Config& config, DoctorReport* report) {
  if (config.admin.address.empty()) {
    report->Note("[admin] address is empty: whether the server runs shows at its listeners only");
    return "";
  }
  const absl::StatusOr<std::string> metrics = Get(config.admin, "/metrics");
  if (!metrics.ok()) {
    report->Note(absl::StrCat("no server answers at ", config.admin.address,
                              ": it is looked at as one that is stopped"));
    return "";
  }
  const absl::StatusOr<std::string> ready = Get(config.admin, "/readyz");
  if (ready.ok()) {
    report->Good(absl::StrCat("answers at ", config.admin.address, " and takes clients"));
  } else {
    report->Bad(absl::StrCat("answers at ", config.admin.address,
                             " and is not ready: ", std::string(ready.status().message())),
                "see its log");
  }
  return *metrics;
}

}  // namespace

int Doctor(const std::string& config_file) {
  signal(SIGPIPE, SIG_IGN);
  // What the parts log is in the report already.
  log::Configure(log::Level::kError);
  DoctorReport report(&Print);
  report.Begin("Configuration");
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) {
    TellMistakes(config.status(), &report);
    report.End();
    return 1;
  }
  report.Good(absl::StrCat(config_file, ": ", Counted(config->listeners.size(), "listener"), ", ",
                           Counted(config->routing.pools.size(), "pool"), ", ",
                           Counted(config->backends.size(), "backend"), ", ",
                           Counted(config->routing.routes.size(), "route")));
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  tls::Library library;
  report.Begin("Files");
  CheckFiles(*config, &report);
  const std::vector<int64_t> ends = CheckCertificates(*config, now, &library, &report);
  report.Begin("Server");
  const std::string metrics = AskServer(*config, &report);
  report.Begin("Limits");
  CheckMachine(*config, ReadMachineFacts(metrics), &report);
  // Before there is an event loop, whose clock would stand still meanwhile.
  report.Begin("Lookups");
  CheckLookups(*config, &report);
  io::UringOptions options;
  options.receive_buffer_bytes = kReceiveBufferBytes;
  options.receive_buffers = kReceiveBuffers;
  absl::StatusOr<io::MadeIo> made = io::MakeIo(io::IoKind::kEpoll, options);
  if (!made.ok()) {
    report.Bad(std::string(made.status().message()), "");
    report.End();
    return 1;
  }
  NetworkDoctor network(&*config, made->io.get(), &library, now, &report);
  report.Begin("Listeners");
  network.CheckListeners(!metrics.empty(), ends);
  report.Begin("Backends");
  network.CheckBackends();
  report.Begin("Promises");
  network.CheckPools();
  report.End();
  return report.problems() > 0 ? 1 : 0;
}

}  // namespace postern::admin
