#include "proxy/server.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proxy/backend_facts.h"
#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "proxy/config/places.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/guard_facts.h"
#include "proxy/io/make_io.h"
#include "proxy/listener.h"
#include "proxy/policy_services.h"
#include "proxy/snapshot_builder.h"
#include "proxy/version.h"
#include "tls/random.h"
#include "tls/session_tickets.h"
#include "tls/version.h"

namespace postern {
namespace {

// A loop that waits turns at least this often, so that a stall can be told from idleness.
constexpr DurationNs kWaitMax = kSecond;
constexpr DurationNs kStallAfter = 10 * kSecond;
// A login that meets a host name before its first look-up gets [SYS/TEMP]; better to let the new
// configuration wait a moment for the addresses.
constexpr DurationNs kResolvePatience = 3 * kSecond;
constexpr absl::Duration kLogPatience = absl::Seconds(1);
// What the process before us had open is gone by then.
constexpr DurationNs kPortPatience = 2 * kSecond;

// Several descriptors per session: the soft limit is often 1024.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// One worker per CPU that this process may use: a container, systemd's CPUAffinity or taskset may
// leave it fewer than the machine has, which is all that hardware_concurrency() counts
// (glibc 2.36).
int WorkerCount(const config::Config& config) {
  if (config.workers > 0) return config.workers;
  cpu_set_t usable;
  // Fails on machines with more than 1024 CPUs.
  if (sched_getaffinity(0, sizeof(usable), &usable) == 0) return std::max(1, CPU_COUNT(&usable));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

io::IoKind IoKindOf(config::IoChoice choice) {
  switch (choice) {
    case config::IoChoice::kUring:
      return io::IoKind::kUring;
    case config::IoChoice::kEpoll:
      return io::IoKind::kEpoll;
    default:
      return io::IoKind::kAuto;
  }
}

uint64_t FirstSessionId(int worker) {
  // Unique across restarts and workers without anybody keeping count.
  uint64_t random = 0;
  tls::RandomBytes(&random, sizeof(random));
  return (random & 0x00ffffff00000000u) | (static_cast<uint64_t>(worker & 0xff) << 56);
}

std::shared_ptr<guard::Guard> MakeGuard(const config::Config& config) {
  guard::HashKey key;
  tls::RandomBytes(&key, sizeof(key));
  return std::make_shared<guard::Guard>(key, static_cast<size_t>(config.limits.sessions_max));
}

}  // namespace

Server::Server() = default;

Server::~Server() {
  for (const std::unique_ptr<WorkerThread>& worker : workers_) CHECK(!worker->thread.joinable());
}

absl::Status Server::Start(config::Config config) {
  RaiseDescriptorLimit();
  tickets_ = std::make_shared<tls::TicketKeys>();
  guard_ = MakeGuard(config);
  since_start_.Begin(config);
  if (!config.log.sessions.empty()) {
    absl::StatusOr<std::unique_ptr<LineLog>> opened = LineLog::Open(config.log.sessions);
    if (!opened.ok()) return config::WithPlaces(opened.status(), config.file);
    session_lines_ = *std::move(opened);
    session_log_ = std::make_unique<SessionLog>(session_lines_.get(), config.log.format);
  }
  if (!config.admin.state_file.empty()) {
    ASSIGN_OR_RETURN(const SavedState saved, LoadStateFile(config.admin.state_file));
    RETURN_IF_ERROR(ApplyState(saved, &backend_states_));
    SetOverlay(saved.overlay);
  }
  ASSIGN_OR_RETURN(Secret text, config::ReadConfigText(config.file));
  absl::Status status = StartWorkers(config);
  if (status.ok()) {
    OpenDesk(config.admin.state_file);
    status = health_.Start(IoKindOf(config.io));
  }
  if (status.ok()) status = UseFile(config.file, std::move(text), overlay());
  // That the file cannot be written is better known now than with the first change. Not before the
  // ports are ours: until then it may be another server's.
  if (status.ok()) status = desk_->Save();
  if (!status.ok()) {
    health_.Stop();
    for (const std::unique_ptr<WorkerThread>& worker : workers_) {
      if (worker->worker == nullptr) continue;
      worker->worker->Post([target = worker->worker.get()] { target->Drain(0); });
      worker->thread.join();
    }
    return status;
  }
  return absl::OkStatus();
}

void Server::OpenDesk(const std::string& state_file) {
  std::vector<Worker*> workers;
  for (const std::unique_ptr<WorkerThread>& thread : workers_) {
    workers.push_back(thread->worker.get());
  }
  desk_ = std::make_unique<OperatorDesk>(
      std::move(workers), &backend_states_,
      std::make_unique<StateFile>(state_file, &backend_states_, [this] { return overlay(); }),
      [this] {
        const std::lock_guard<std::mutex> lock(facts_mutex_);
        return reported_;
      });
  health_.WatchBackends([this](const BackendWatch::Change& change) {
    desk_->EndSessionsOf(change.backend, change.end_over, CloseReason::kBackendDown);
  });
}

absl::Status Server::StartWorkers(const config::Config& config) {
  const int count = WorkerCount(config);
  const auto sessions_max = static_cast<size_t>(config.limits.sessions_max);
  std::vector<const metrics::WorkerStats*> stats;
  absl::Status status;
  bool warned = false;
  std::set<std::string> kinds;
  for (int i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<WorkerThread>());
    WorkerThread* worker = workers_.back().get();
    worker->index = i;
    stats.push_back(&worker->stats);
    std::future<absl::Status> started = worker->started.get_future();
    worker->thread =
        std::thread(&Server::RunWorker, this, worker, config,
                    (sessions_max + static_cast<size_t>(count) - 1) / static_cast<size_t>(count));
    status = started.get();
    if (!status.ok()) {
      worker->thread.join();
      break;
    }
    // One for all: what keeps one worker from its ring keeps them all.
    if (!worker->io_warning.empty() && !warned) log::Warning(worker->io_warning);
    warned |= !worker->io_warning.empty();
    kinds.insert(io::IoKindName(worker->io_kind));
  }
  {
    const std::lock_guard<std::mutex> lock(facts_mutex_);
    facts_.io = absl::StrJoin(kinds.rbegin(), kinds.rend(), "+");
  }
  health_.ReadFrom(stats);
  collector_ = std::make_unique<metrics::Collector>(
      metrics::BuildInfo{kVersion, tls::LibraryVersion()}, std::move(stats), &registry_,
      [this] { return Facts(); });
  return status;
}

void Server::RunWorker(WorkerThread* thread, config::Config config, size_t sessions_max) {
  pthread_setname_np(pthread_self(), absl::StrCat("worker-", thread->index).c_str());
  io::UringOptions options;
  options.receive_buffer_bytes = static_cast<uint32_t>(config.limits.receive_buffer_bytes);
  options.receive_buffers =
      static_cast<decltype(options.receive_buffers)>(config.limits.receive_buffers);
  absl::StatusOr<io::MadeIo> made = io::MakeIo(IoKindOf(config.io), options);
  if (!made.ok()) {
    thread->started.set_value(made.status());
    return;
  }
  thread->io = std::move(made->io);
  thread->io_kind = made->kind;
  thread->io_warning = std::move(made->warning);
  WorkerOptions worker_options;
  worker_options.sessions_max = sessions_max;
  // A full shared buffer.
  worker_options.bulk.long_receive =
      std::min(worker_options.bulk.long_receive, config.limits.receive_buffer_bytes);
  worker_options.first_session_id = FirstSessionId(thread->index);
  thread->worker = std::make_unique<Worker>(thread->io.get(), &thread->stats, session_log_.get(),
                                            worker_options);
  thread->last_turn.store(MonotonicNow());
  thread->started.set_value(absl::OkStatus());
  while (!thread->worker->done()) {
    thread->worker->RunTurn(kWaitMax);
    thread->last_turn.store(thread->io->Now(), std::memory_order_relaxed);
  }
  // What a worker made on its thread goes with its thread, and everything must balance.
  CHECK(coro::FramePool::ThisThread().live() == 0);
}

absl::Status Server::OpenSockets(const config::Config& config,
                                 std::vector<std::vector<ListenerSocket>>* sockets) {
  std::set<std::string> open;
  if (snapshot_ != nullptr) {
    for (const config::Listener& listener : snapshot_->config.listeners) {
      open.insert(listener.address.ToString());
    }
  } else {
    for (const config::Listener& listener : config.listeners) {
      RETURN_IF_ERROR(CheckUnused(listener.address, listener.v6only, kPortPatience));
    }
  }
  sockets->resize(workers_.size());
  for (const config::Listener& listener : config.listeners) {
    if (open.count(listener.address.ToString()) != 0) continue;
    for (std::vector<ListenerSocket>& of_worker : *sockets) {
      const absl::StatusOr<int> fd =
          OpenListeningSocket(listener.address, listener.v6only, listener.backlog);
      if (!fd.ok()) {
        for (const std::vector<ListenerSocket>& opened : *sockets) {
          for (const ListenerSocket& socket : opened) close(socket.fd);
        }
        return fd.status();
      }
      of_worker.push_back(ListenerSocket{listener.address.ToString(), *fd});
    }
  }
  return absl::OkStatus();
}

// Everything that may fail comes first; from the first Post() on there is no way back and none is
// needed.
absl::Status Server::Apply(config::Config config) {
  ASSIGN_OR_RETURN(std::shared_ptr<Snapshot> snapshot,
                   BuildSnapshot(std::move(config), &registry_, generation_ + 1, &backend_states_));
  if (snapshot->config.guard.any()) {
    RETURN_IF_ERROR(guard_->Prepare(snapshot->config.guard));
    snapshot->guard = guard_;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const WorkerSnapshot> of_health,
                   BuildHealthSnapshot(snapshot, health_.library()));
  std::vector<std::shared_ptr<const WorkerSnapshot>> of_workers;
  for (const std::unique_ptr<WorkerThread>& worker : workers_) {
    ASSIGN_OR_RETURN(std::shared_ptr<const WorkerSnapshot> of_worker,
                     BuildWorkerSnapshot(snapshot, &worker->library, tickets_));
    of_workers.push_back(std::move(of_worker));
  }
  ASSIGN_OR_RETURN(snapshot->lookups, lookups_.Start(snapshot->config.lookups));
  ASSIGN_OR_RETURN(snapshot->policy, policy_.Start(snapshot->config.policy.askers));
  std::vector<std::vector<ListenerSocket>> sockets;
  RETURN_IF_ERROR(OpenSockets(snapshot->config, &sockets));
  lookups_.Use(snapshot->config.lookups, snapshot->lookups);
  policy_.Use(snapshot->config.policy.askers, snapshot->policy);

  metrics::ServerFacts facts = Facts();
  facts.backends.clear();
  facts.pools.clear();
  facts.lookups.clear();
  facts.config_generation = ++generation_;
  facts.last_reload_unix_seconds = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  facts.certificates.clear();
  facts.insecure_upstreams = 0;
  if (of_workers[0]->server_tls != nullptr) {
    for (const tls::CertificateInfo& info : of_workers[0]->server_tls->certificates()) {
      facts.certificates.push_back({info.file, static_cast<double>(info.not_after_unix)});
    }
    for (const std::string& warning : of_workers[0]->server_tls->warnings()) log::Warning(warning);
  }
  for (const config::Backend& backend : snapshot->config.backends) {
    if (!backend.tls_options.insecure) continue;
    ++facts.insecure_upstreams;
    log::Warning(absl::StrCat("backend ", backend.name,
                              ": its certificate is not verified (insecure = true)"));
  }
  {
    const std::lock_guard<std::mutex> lock(facts_mutex_);
    facts_ = std::move(facts);
    reported_ = snapshot;
  }
  registry_.SetActive(snapshot->listener_stats, snapshot->backend_stats);
  snapshot_ = snapshot;
  since_start_.Use(snapshot->config);
  PutInUse(*snapshot);
  WatchNames();
  resolver_.WaitForFirstAnswers(kResolvePatience);
  health_.Configure(std::move(of_health));
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->stats.Grow(registry_.listener_count(), registry_.backend_count());
    workers_[i]->worker->Post([worker = workers_[i]->worker.get(), next = of_workers[i],
                               opened = sockets[i]] { worker->Configure(next, opened); });
  }
  return absl::OkStatus();
}

void Server::WatchNames() {
  std::vector<Resolver::Target> targets;
  for (size_t i = 0; i < snapshot_->config.backends.size(); ++i) {
    const config::Backend& backend = snapshot_->config.backends[i];
    if (backend.address.is_unix() || backend.address.is_literal()) continue;
    targets.push_back(Resolver::Target{i, backend.name, backend.address});
  }
  resolver_.Watch(snapshot_->addresses, std::move(targets), snapshot_->config.timeouts.resolve,
                  absl::StrJoin(snapshot_->config.name_servers, ","));
}

void Server::WarnAboutRestart() const {
  for (const std::string& key : since_start_.WaitingForRestart(snapshot_->config)) {
    log::Warning(absl::StrCat("reload: a new ", key, " takes effect at the next start only"));
  }
}

absl::Status Server::Reload() {
  const std::string file = snapshot_->config.file;
  absl::StatusOr<Secret> text = config::ReadConfigText(file);
  absl::Status status = text.status();
  if (status.ok()) {
    const config::Overlay before = overlay();
    status = UseFile(file, *std::move(text), before);
    if (!status.ok()) registry_.DropUnused();
    // What went wrong with the state file is in the log; the reload is good.
    if (status.ok() && !before.empty()) desk_->Save().IgnoreError();
  }
  const std::lock_guard<std::mutex> lock(facts_mutex_);
  if (status.ok()) {
    ++facts_.reloads_ok;
  } else {
    ++facts_.reloads_failed;
  }
  return status;
}

void Server::Stop() {
  draining_.store(true);
  desk_->Stop();
  const DurationNs patience = snapshot_->config.timeouts.drain;
  for (const std::unique_ptr<WorkerThread>& worker : workers_) {
    worker->worker->Post([target = worker->worker.get(), patience] { target->Drain(patience); });
  }
  for (const std::unique_ptr<WorkerThread>& worker : workers_) worker->thread.join();
  health_.Stop();
  lookups_.Stop();
  policy_.Stop();
}

void Server::ReopenLogs() {
  if (session_lines_ != nullptr) session_lines_->Reopen();
}

int64_t Server::OpenSessions() const {
  int64_t sessions = 0;
  for (const metrics::StatusSummary::Listener& listener : Summary().listeners) {
    sessions += listener.totals.sessions;
  }
  return sessions;
}

void Server::FlushSessionLog() {
  if (session_lines_ != nullptr) session_lines_->Flush(kLogPatience);
}

std::string Server::MetricsText() const { return collector_->Collect(); }

metrics::StatusSummary Server::Summary() const { return collector_->Summary(); }

metrics::ServerFacts Server::Facts() const {
  const std::lock_guard<std::mutex> lock(facts_mutex_);
  metrics::ServerFacts facts = facts_;
  if (reported_ != nullptr) {
    DescribeBackends(*reported_, MonotonicNow(), &facts);
    TellOfHands(&facts);
    DescribeGuard(*reported_, &facts);
    DescribeLookups(*reported_, &facts);
    DescribePolicy(*reported_, &facts);
  }
  facts.holds = backend_states_.holds()->size();
  facts.held_logins = static_cast<uint64_t>(backend_states_.holds()->waiting());
  facts.moved_users = backend_states_.overrides()->size();
  facts.moved_groups = backend_states_.overrides()->groups().size();
  facts.remembered_homes = backend_states_.recent_homes()->size();
  facts.remembered_homes_evicted = backend_states_.recent_homes()->evicted();
  facts.draining = draining_.load();
  facts.log_lines_dropped = log::DroppedLines();
  if (session_lines_ != nullptr) facts.log_lines_dropped += session_lines_->dropped();
  return facts;
}

std::vector<std::string> Server::NotReady() const {
  std::vector<std::string> reasons = Stalled();
  if (draining_.load()) reasons.push_back("draining: no new clients are taken");
  return reasons;
}

std::vector<std::string> Server::Stalled() const {
  std::vector<std::string> stalled;
  const TimeNs now = MonotonicNow();
  for (const std::unique_ptr<WorkerThread>& worker : workers_) {
    const DurationNs since = now - worker->last_turn.load(std::memory_order_relaxed);
    if (since <= kStallAfter || draining_.load()) continue;
    stalled.push_back(
        absl::StrCat("worker ", worker->index, " has not turned for ", since / kSecond, " s"));
  }
  return stalled;
}

}  // namespace postern
