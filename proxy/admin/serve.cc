#include "proxy/admin/serve.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/admin/http_server.h"
#include "proxy/admin/main_thread.h"
#include "proxy/admin/status_json.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/config.h"
#include "proxy/config/secrets.h"
#include "proxy/server.h"
#include "proxy/version.h"

namespace postern::admin {
namespace {

// Passwords pass through our memory: none of it may reach a core file.
void ForbidCoreDumps() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  // A core handler behind a pipe ignores the limit; an empty filter leaves it nothing to read.
  if (FILE* filter = std::fopen("/proc/self/coredump_filter", "w")) {
    std::fputs("0", filter);
    std::fclose(filter);
  }
}

// Blocked in every thread, so that only the main thread takes them, one at a time.
sigset_t BlockSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, MainThread::kSignal}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

AdminHandlers HandlersFor(Server* server, MainThread* main_thread) {
  AdminHandlers handlers;
  handlers.metrics = [server] { return server->MetricsText(); };
  handlers.healthy = [server] {
    std::vector<std::string> reasons = server->Stalled();
    return Readiness{reasons.empty(), std::move(reasons)};
  };
  handlers.ready = [server] {
    std::vector<std::string> reasons = server->NotReady();
    return Readiness{reasons.empty(), std::move(reasons)};
  };
  handlers.status_json = [server] { return StatusJson(server->Summary()); };
  handlers.change = [server](const BackendChange& change) {
    if (change.what == BackendChange::What::kWeight) {
      return server->desk()->SetWeight(change.backend, change.weight,
                                       Signature{change.who, change.reason});
    }
    return server->desk()->SetService(change.backend, change.service, change.over,
                                      Signature{change.who, change.reason});
  };
  handlers.backends.add = [server, main_thread](const config::AddedBackend& wanted) {
    return main_thread->Run([&] { return server->AddBackend(wanted); });
  };
  handlers.backends.remove = [server, main_thread](const std::string& name, const Signature& by) {
    return main_thread->Run([&] { return server->RemoveBackend(name, by); });
  };
  handlers.actions = server->desk();
  return handlers;
}

absl::Status StartAdmin(Server* server, MainThread* main_thread, const std::string& address,
                        std::unique_ptr<AdminServer>* admin) {
  if (address.empty()) return absl::OkStatus();
  AdminOptions options;
  const std::string& token_file = server->config().admin.token_file;
  if (!token_file.empty()) {
    ASSIGN_OR_RETURN(Secret token, config::ReadPasswordFile(token_file));
    options.token = std::make_shared<const Secret>(std::move(token));
  }
  options.address = address;
  *admin = std::make_unique<AdminServer>(options, HandlersFor(server, main_thread));
  if (!IsLocalOnly(address)) {
    log::Warning(absl::StrCat("admin endpoint ", address,
                              " can be reached from other machines and asks for no password"));
  }
  return (*admin)->Start();
}

void ConfigureLog(const config::Config& config) {
  if (const auto level = log::LevelFromName(config.log.level)) log::Configure(*level);
}

void Reload(Server* server) {
  server->ReopenLogs();
  const absl::Status status = server->Reload();
  if (status.ok()) {
    ConfigureLog(server->config());
    log::Info("reload: the new configuration is in use");
  } else {
    log::Error(absl::StrCat("reload: the running configuration stays in use:\n", status.message()));
  }
}

// The server while sessions drain; null once it has stopped by itself. Outlives Serve(), since the
// thread below does.
struct DrainingServer {
  std::mutex mutex;
  Server* server = nullptr;
};

// Nobody writes the lines of the sessions that are cut, so how many they are is said.
void StopAtOnce(DrainingServer* draining) {
  // Serve() is not to return meanwhile, and take the server away.
  const std::lock_guard<std::mutex> lock(draining->mutex);
  if (draining->server == nullptr) return;
  const int64_t cut = draining->server->OpenSessions();
  log::Warning(absl::StrCat("stopped at once, ", cut, cut == 1 ? " session" : " sessions", " cut"));
  draining->server->FlushSessionLog();
  log::Flush();
  _exit(1);
}

// A second SIGTERM while sessions drain means now.
void ExitOnSecondSignal(const sigset_t& signals, std::shared_ptr<DrainingServer> draining) {
  std::thread([signals, draining = std::move(draining)] {
    for (;;) {
      int number = 0;
      if (sigwait(&signals, &number) != 0) continue;
      if (number != SIGHUP && number != MainThread::kSignal) StopAtOnce(draining.get());
    }
  }).detach();
}

}  // namespace

int Serve(const std::string& config_file) {
  ForbidCoreDumps();
  const sigset_t signals = BlockSignals();
  absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) {
    std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    return 1;
  }
  ConfigureLog(*config);
  const std::string admin_address = config->admin.address;
  Server server;
  absl::Status status = server.Start(*std::move(config));
  if (!status.ok()) {
    log::Error(status.message());
    log::Flush();
    return 1;
  }
  MainThread main_thread;
  std::unique_ptr<AdminServer> admin;
  status = StartAdmin(&server, &main_thread, admin_address, &admin);
  if (!status.ok()) {
    log::Error(status.message());
    server.Stop();
    log::Flush();
    return 1;
  }
  for (const config::Listener& listener : server.config().listeners) {
    log::Info(absl::StrCat("listening on ", listener.address.ToString()));
  }
  log::Info(absl::StrCat("postern ", kVersion, " is ready"));
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number == MainThread::kSignal) {
      main_thread.RunAsked();
      continue;
    }
    if (number == SIGHUP) {
      Reload(&server);
      continue;
    }
    log::Info("draining: no new clients; sessions may finish");
    break;
  }
  main_thread.Close();
  const auto draining = std::make_shared<DrainingServer>();
  draining->server = &server;
  ExitOnSecondSignal(signals, draining);
  server.Stop();
  if (admin != nullptr) admin->Stop();
  {
    const std::lock_guard<std::mutex> lock(draining->mutex);
    draining->server = nullptr;
  }
  log::Info("stopped");
  log::Flush();
  return 0;
}

}  // namespace postern::admin
