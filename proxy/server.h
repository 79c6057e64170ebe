// The whole proxy: workers, listeners, configuration, admin endpoint, signals. Main thread only.
#ifndef POSTERN_PROXY_SERVER_H_
#define POSTERN_PROXY_SERVER_H_

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "metrics/collector.h"
#include "metrics/registry.h"
#include "metrics/worker_stats.h"
#include "proxy/base/line_log.h"
#include "proxy/config/config.h"
#include "proxy/config/overlay.h"
#include "proxy/guard/guard.h"
#include "proxy/health_thread.h"
#include "proxy/io/make_io.h"
#include "proxy/lookups.h"
#include "proxy/operator_desk.h"
#include "proxy/resolver.h"
#include "proxy/session_log.h"
#include "proxy/since_start.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "routing/backend_state.h"
#include "tls/context.h"

namespace postern {

class Server {
 public:
  Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Stop() has been called, or Start() has failed.
  ~Server();

  // Opens everything and starts the workers. An error is for the operator; nothing is left running.
  absl::Status Start(config::Config config);

  // Reads the configuration file again. A broken one changes nothing; a good one drops nobody.
  absl::Status Reload();

  // Change the running configuration as a reload would that finds a file with one backend more or
  // less; what does not make a good one changes nothing. The file is not read for it: it counts as
  // it was at the last reload.
  absl::Status AddBackend(config::AddedBackend wanted);
  // Aborted while it has sessions or logins: who takes it away under them would have their users
  // turned away until the last one has ended, see routing::Affinity.
  absl::Status RemoveBackend(const std::string& name, const Signature& by);

  // Stops listening and waits until every session has ended, at most the configured drain time;
  // then ends the rest.
  void Stop();

  // For the admin endpoint; any thread.
  std::string MetricsText() const;
  metrics::StatusSummary Summary() const;
  // Sentences that say why the proxy is not ready to take clients; empty when it is.
  std::vector<std::string> NotReady() const;
  // Names the workers whose loop has not turned for a while; empty when all do.
  std::vector<std::string> Stalled() const;

  // What an operator may ask for; any thread, after Start().
  OperatorDesk* desk() { return desk_.get(); }

  const config::Config& config() const { return snapshot_->config; }
  void ReopenLogs();

  // For who ends the process without Stop() having returned; any thread, after Start().
  int64_t OpenSessions() const;
  // Waits a moment until what the session log was given is written.
  void FlushSessionLog();

 private:
  struct WorkerThread {
    int index = 0;
    metrics::WorkerStats stats;
    tls::Library library;
    std::unique_ptr<io::Io> io;  // made by and for the thread
    io::IoKind io_kind = io::IoKind::kAuto;
    std::string io_warning;          // why it is not the one we would rather have
    std::unique_ptr<Worker> worker;  // likewise
    std::thread thread;
    std::promise<absl::Status> started;
    std::atomic<TimeNs> last_turn{0};
  };

  absl::Status StartWorkers(const config::Config& config);
  void OpenDesk(const std::string& state_file);
  void RunWorker(WorkerThread* thread, config::Config config, size_t sessions_max);
  // Opens the sockets that `config` has and the running configuration has not, one per worker.
  absl::Status OpenSockets(const config::Config& config,
                           std::vector<std::vector<ListenerSocket>>* sockets);
  absl::Status Apply(config::Config config);
  // server_backends.cc: the file with as much of `wanted` over it as fits.
  absl::Status UseFile(const std::string& file, Secret text, const config::Overlay& wanted);
  absl::Status UseOverlay(config::Overlay next);
  // Whether it could be used, as far as files tell; nothing is.
  absl::Status Judge(config::Config config);
  void SetOverlay(config::Overlay overlay);
  // A backend that is added serves, whatever was said of its name before.
  void BeginAnew(const config::AddedBackend& added);
  // Tells which ones are new in the file while an operator's drain or weight still stands.
  void TellOfSpokenFor(const config::Config& before) const;
  config::Overlay overlay() const;  // any thread
  // Which backends were added by hand; facts_mutex_ is held.
  void TellOfHands(metrics::ServerFacts* facts) const;
  void WatchNames();
  metrics::ServerFacts Facts() const;
  void WarnAboutRestart() const;

  metrics::Registry registry_;
  std::shared_ptr<tls::TicketKeys> tickets_;
  std::unique_ptr<LineLog> session_lines_;
  std::unique_ptr<SessionLog> session_log_;
  Resolver resolver_;
  routing::BackendStates backend_states_;
  std::shared_ptr<guard::Guard> guard_;  // used by snapshots that guard anything
  HealthThread health_;
  Lookups lookups_;
  Lookups policy_;  // who asks the policy service
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::unique_ptr<OperatorDesk> desk_;
  std::unique_ptr<metrics::Collector> collector_;
  std::shared_ptr<Snapshot> snapshot_;
  SinceStart since_start_;
  Secret text_;  // of the configuration file, when it was last taken into use
  uint64_t generation_ = 0;
  std::atomic<bool> draining_{false};
  mutable std::mutex facts_mutex_;
  metrics::ServerFacts facts_;
  config::Overlay overlay_;
  std::shared_ptr<const Snapshot> reported_;  // snapshot_, for other threads
};

}  // namespace postern

#endif  // POSTERN_PROXY_SERVER_H_
