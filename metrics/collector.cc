#include "metrics/collector.h"

#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "metrics/exposition.h"
#include "metrics/process_stats.h"
#include "proxy/base/check.h"
#include "proxy/base/time.h"

namespace postern::metrics {
namespace {

template <size_t kCount>
void AddTo(std::array<uint64_t, kCount>& sums, const std::array<Counter, kCount>& counters) {
  for (size_t i = 0; i < kCount; ++i) sums[i] += counters[i].Get();
}

void AddTo(LatencyTotals& totals, const LatencyHistogram& histogram) {
  for (size_t i = 0; i < totals.buckets.size(); ++i) totals.buckets[i] += histogram.bucket(i);
  totals.sum_seconds += histogram.sum_seconds();
}

void AddTo(ListenerTotals& totals, const ListenerStats& stats) {
  totals.connections += stats.connections.Get();
  totals.sessions += stats.sessions_active.Get();
  AddTo(totals.logins, stats.logins);
  AddTo(totals.closed, stats.closed);
  AddTo(totals.tls_versions, stats.tls_versions);
  AddTo(totals.tls_ciphers, stats.tls_ciphers);
  totals.tls_resumed += stats.tls_resumed.Get();
  totals.bytes_in += stats.bytes_in.Get();
  totals.bytes_out += stats.bytes_out.Get();
  totals.bad_commands += stats.bad_commands.Get();
  totals.stls_injections += stats.stls_injections.Get();
  AddTo(totals.guard_refusals, stats.guard_refusals);
  totals.guard_delays += stats.guard_delays.Get();
  totals.guard_delay_seconds += static_cast<double>(stats.guard_delay_ns.Get()) / 1e9;
  totals.policy_tarpits += stats.policy_tarpits.Get();
  totals.policy_tarpit_seconds += static_cast<double>(stats.policy_tarpit_ns.Get()) / 1e9;
  totals.policy_unanswered += stats.policy_unanswered.Get();
  AddTo(totals.handshake, stats.handshake_seconds);
  AddTo(totals.login, stats.login_seconds);
}

void AddTo(BackendTotals& totals, const BackendStats& stats) {
  totals.connects += stats.connects.Get();
  AddTo(totals.errors, stats.errors);
  totals.sessions += stats.sessions_active.Get();
  totals.sessions_total += stats.sessions.Get();
  AddTo(totals.logins, stats.logins);
  AddTo(totals.closed, stats.closed);
  AddTo(totals.connect, stats.connect_seconds);
  AddTo(totals.greeting, stats.greeting_seconds);
  AddTo(totals.login, stats.login_seconds);
  AddTo(totals.queue, stats.queue_seconds);
  AddTo(totals.in_use_waits, stats.in_use);
  AddTo(totals.in_use, stats.in_use_seconds);
  totals.bytes_to += stats.bytes_to_backend.Get();
  totals.bytes_from += stats.bytes_from_backend.Get();
  AddTo(totals.commands, stats.commands);
  totals.bytes_spliced += stats.bytes_spliced.Get();
  totals.messages_retrieved += stats.messages_retrieved.Get();
}

// Whether anything was ever counted: every session begins with one of these.
bool Counted(const ListenerTotals& totals) {
  return totals.connections != 0 || totals.sessions != 0;
}

bool Counted(const BackendTotals& totals) {
  const auto errors = std::accumulate(totals.errors.begin(), totals.errors.end(), uint64_t{0});
  return totals.connects != 0 || errors != 0 || totals.sessions != 0;
}

}  // namespace

absl::string_view LookupAnswerName(size_t answer) {
  constexpr std::array<absl::string_view, kLookupAnswerCount> kNames = {
      "found", "unknown", "temporary", "forbidden", "wait"};
  CHECK(answer < kNames.size());
  return kNames[answer];
}

uint64_t LatencyTotals::Count() const {
  return std::accumulate(buckets.begin(), buckets.end(), uint64_t{0});
}

double LatencyTotals::MeanSeconds() const {
  const uint64_t count = Count();
  return count == 0 ? 0 : sum_seconds / static_cast<double>(count);
}

Collector::Collector(BuildInfo build, std::vector<const WorkerStats*> workers,
                     const Registry* registry, std::function<ServerFacts()> facts)
    : build_(std::move(build)),
      workers_(std::move(workers)),
      registry_(registry),
      facts_(std::move(facts)),
      start_unix_seconds_(ReadProcessStartTime()),
      created_(MonotonicNow()) {
  CHECK(registry_ != nullptr);
  CHECK(facts_ != nullptr);
}

StatusSummary Collector::Summary() const {
  StatusSummary summary;
  summary.build = build_;
  summary.start_unix_seconds = start_unix_seconds_;
  summary.uptime_seconds = static_cast<double>(MonotonicNow() - created_) / kSecond;
  summary.workers = workers_.size();
  summary.facts = facts_();

  const std::vector<Registry::Listener> listeners = registry_->Listeners();
  for (size_t id = 0; id < listeners.size(); ++id) {
    StatusSummary::Listener row{listeners[id].name, listeners[id].active, {}};
    for (const WorkerStats* worker : workers_) {
      // A name may be known before the workers have grown to it.
      if (const ListenerStats* stats = worker->FindListener(id)) AddTo(row.totals, *stats);
    }
    if (row.active || Counted(row.totals)) summary.listeners.push_back(std::move(row));
  }
  std::map<std::pair<std::string, std::string>, const BackendHealth*> health;
  for (const BackendHealth& backend : summary.facts.backends) {
    health[{backend.name, backend.pool}] = &backend;
  }
  const std::vector<Registry::Backend> backends = registry_->Backends();
  for (size_t id = 0; id < backends.size(); ++id) {
    StatusSummary::Backend row{
        backends[id].name, backends[id].pool, backends[id].active, {}, std::nullopt};
    if (const auto found = health.find({row.name, row.pool}); found != health.end()) {
      row.health = *found->second;
    }
    for (const WorkerStats* worker : workers_) {
      if (const BackendStats* stats = worker->FindBackend(id)) AddTo(row.totals, *stats);
    }
    if (row.active || Counted(row.totals)) summary.backends.push_back(std::move(row));
  }
  return summary;
}

std::string Collector::Collect() const {
  std::vector<const LoopStats*> loops;
  loops.reserve(workers_.size());
  for (const WorkerStats* worker : workers_) loops.push_back(&worker->loop());
  return ExpositionText(Summary(), ReadProcessStats(), loops);
}

}  // namespace postern::metrics
