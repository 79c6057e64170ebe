// The thread that checks backends: its own loop, its own TLS library, next to the workers.
#ifndef POSTERN_PROXY_HEALTH_THREAD_H_
#define POSTERN_PROXY_HEALTH_THREAD_H_

#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "proxy/backend_watch.h"
#include "proxy/health_checker.h"
#include "proxy/io/make_io.h"
#include "proxy/mailbox.h"
#include "proxy/outlier_watch.h"
#include "proxy/pool_watch.h"
#include "proxy/snapshot.h"
#include "tls/context.h"

namespace postern {

// Main thread only.
class HealthThread {
 public:
  HealthThread() = default;
  HealthThread(const HealthThread&) = delete;
  HealthThread& operator=(const HealthThread&) = delete;
  ~HealthThread() { Stop(); }

  // Told, on the health thread, of backends whose sessions are to end; before Start().
  using OnChange = std::function<void(const BackendWatch::Change& change)>;
  void WatchBackends(OnChange on_change) { on_change_ = std::move(on_change); }
  absl::Status Start(io::IoKind io);
  // What outliers are told by, of all workers; before Start(). They outlive the thread.
  void ReadFrom(std::vector<const metrics::WorkerStats*> stats) {
    outliers_.ReadFrom(std::move(stats));
  }
  // For BuildHealthSnapshot().
  tls::Library* library() { return &library_; }
  void Configure(std::shared_ptr<const WorkerSnapshot> snapshot);
  // Ends all checks and waits for the thread. Harmless when repeated, or before Start().
  void Stop();

 private:
  void Run(io::IoKind kind);

  tls::Library library_;
  std::unique_ptr<io::Io> io_;
  std::unique_ptr<HealthChecker> checker_;
  PoolWatch pools_;        // the thread's
  BackendWatch backends_;  // likewise
  OutlierWatch outliers_;  // likewise
  OnChange on_change_;
  std::unique_ptr<Mailbox> mailbox_;
  std::promise<absl::Status> started_;
  bool stopping_ = false;  // the thread's
  std::thread thread_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_HEALTH_THREAD_H_
