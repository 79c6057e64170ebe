#include "metrics/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "metrics/names.h"
#include "metrics/worker_stats.h"
#include "proxy/base/check.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/guard_refusal.h"

namespace postern::metrics {
namespace {

using Values = std::initializer_list<absl::string_view>;

absl::string_view CompilerName() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

// One family per metric of names.h, filled in any order.
class Families {
 public:
  Families() : families_(kMetricCount) {
    for (const MetricInfo& info : kMetrics) {
      prometheus::MetricFamily& family = families_[static_cast<size_t>(info.id)];
      family.name = std::string(info.name);
      family.help = std::string(info.help);
      family.type = TypeOf(info.kind);
    }
  }

  // The values of the labels are in the order of the metric's label names.
  void Add(MetricId id, Values labels, double value) {
    prometheus::ClientMetric& metric = NewMetric(id, labels);
    switch (InfoOf(id).kind) {
      case MetricKind::kCounter:
        metric.counter.value = value;
        return;
      case MetricKind::kGauge:
        metric.gauge.value = value;
        return;
      case MetricKind::kHistogram:
        break;
    }
    CHECK(false);
  }
  void Add(MetricId id, Values labels, uint64_t value) {
    Add(id, labels, static_cast<double>(value));
  }
  void Add(MetricId id, Values labels, int64_t value) {
    Add(id, labels, static_cast<double>(value));
  }
  void AddNonZero(MetricId id, Values labels, uint64_t value) {
    if (value != 0) Add(id, labels, value);
  }

  void AddObserved(MetricId id, Values labels, const LatencyTotals& totals) {
    CHECK(InfoOf(id).kind == MetricKind::kHistogram);
    if (totals.Count() == 0) return;
    prometheus::ClientMetric::Histogram& histogram = NewMetric(id, labels).histogram;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < totals.buckets.size(); ++i) {
      cumulative += totals.buckets[i];
      const double bound = i < LatencyHistogram::kBounds.size()
                               ? LatencyHistogram::kBounds[i]
                               : std::numeric_limits<double>::infinity();
      prometheus::ClientMetric::Bucket bucket;
      bucket.cumulative_count = cumulative;
      bucket.upper_bound = bound;
      histogram.bucket.push_back(bucket);
    }
    // From the same loads as the buckets: a scrape in the middle of Record() must still add up.
    histogram.sample_count = cumulative;
    histogram.sample_sum = totals.sum_seconds;
  }

  std::string ToText() && {
    // A family without a series would be a HELP and a TYPE line for nothing.
    std::vector<prometheus::MetricFamily> used;
    for (prometheus::MetricFamily& family : families_) {
      if (!family.metric.empty()) used.push_back(std::move(family));
    }
    return prometheus::TextSerializer().Serialize(used);
  }

 private:
  static prometheus::MetricType TypeOf(MetricKind kind) {
    switch (kind) {
      case MetricKind::kCounter:
        return prometheus::MetricType::Counter;
      case MetricKind::kGauge:
        return prometheus::MetricType::Gauge;
      case MetricKind::kHistogram:
        return prometheus::MetricType::Histogram;
    }
    return prometheus::MetricType::Untyped;
  }

  prometheus::ClientMetric& NewMetric(MetricId id, Values values) {
    prometheus::ClientMetric& metric = families_[static_cast<size_t>(id)].metric.emplace_back();
    const auto& names = InfoOf(id).labels;
    CHECK(values.size() <= names.size());
    metric.label.reserve(values.size());
    size_t i = 0;
    for (const absl::string_view value : values) {
      CHECK(!names[i].empty());
      prometheus::ClientMetric::Label label;
      label.name = std::string(names[i++]);
      label.value = std::string(value);
      metric.label.push_back(std::move(label));
    }
    CHECK(i == names.size() || names[i].empty());
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
};

template <typename Number>
void AddKnown(Families& families, MetricId id, const std::optional<Number>& value) {
  if (value.has_value()) families.Add(id, {}, *value);
}

void AddProcess(Families& families, const StatusSummary& summary, const ProcessStats& process) {
  families.Add(MetricId::kBuildInfo, {summary.build.version, CompilerName(), summary.build.openssl},
               1.0);
  AddKnown(families, MetricId::kProcessCpu, process.cpu_seconds);
  AddKnown(families, MetricId::kProcessResidentMemory, process.resident_bytes);
  AddKnown(families, MetricId::kProcessVirtualMemory, process.virtual_bytes);
  AddKnown(families, MetricId::kProcessOpenFds, process.open_fds);
  AddKnown(families, MetricId::kProcessMaxFds, process.max_fds);
  if (summary.start_unix_seconds > 0) {
    families.Add(MetricId::kProcessStartTime, {}, summary.start_unix_seconds);
  }
}

void AddServer(Families& families, const StatusSummary& summary) {
  const ServerFacts& facts = summary.facts;
  if (!facts.io.empty()) families.Add(MetricId::kIoInfo, {facts.io}, 1.0);
  families.Add(MetricId::kWorkers, {}, uint64_t{summary.workers});
  families.Add(MetricId::kConfigGeneration, {}, facts.config_generation);
  families.Add(MetricId::kConfigReloads, {"ok"}, facts.reloads_ok);
  families.Add(MetricId::kConfigReloads, {"error"}, facts.reloads_failed);
  families.Add(MetricId::kConfigLastReload, {}, facts.last_reload_unix_seconds);
  families.Add(MetricId::kDraining, {}, facts.draining ? 1.0 : 0.0);
  families.Add(MetricId::kLogLinesDropped, {}, facts.log_lines_dropped);
  families.Add(MetricId::kInsecureUpstreams, {}, facts.insecure_upstreams);
  families.Add(MetricId::kHolds, {}, facts.holds);
  families.Add(MetricId::kHeldLogins, {}, facts.held_logins);
  families.Add(MetricId::kMovedUsers, {}, facts.moved_users);
  families.Add(MetricId::kMovedGroups, {}, facts.moved_groups);
  families.Add(MetricId::kRememberedHomes, {}, facts.remembered_homes);
  families.Add(MetricId::kRememberedHomesEvicted, {}, facts.remembered_homes_evicted);
  for (const PoolHealth& pool : facts.pools) {
    families.Add(MetricId::kPoolUsable, {pool.name}, static_cast<double>(pool.usable));
    families.Add(MetricId::kPoolPanic, {pool.name}, pool.panic ? 1.0 : 0.0);
    if (pool.waiting_max > 0) {
      families.Add(MetricId::kPoolWaiting, {pool.name}, static_cast<double>(pool.waiting));
    }
    families.Add(MetricId::kPoolCapabilitiesDiffer, {pool.name},
                 pool.capabilities_differ ? 1.0 : 0.0);
  }
  for (const ServerFacts::Certificate& certificate : facts.certificates) {
    families.Add(MetricId::kCertificateExpiry, {certificate.file}, certificate.expiry_unix_seconds);
  }
}

void AddGuard(Families& families, const GuardFacts& guard) {
  for (const GuardFacts::Table& table : guard.tables) {
    families.Add(MetricId::kGuardTableEntries, {table.name}, table.entries);
    families.Add(MetricId::kGuardTableCapacity, {table.name}, table.capacity);
    families.Add(MetricId::kGuardTableEvictions, {table.name}, table.evictions);
  }
  for (const GuardFacts::List& list : guard.lists) {
    families.Add(MetricId::kGuardListRanges, {list.name}, list.ranges);
  }
}

void AddListener(Families& families, const StatusSummary::Listener& row) {
  const absl::string_view name = row.name;
  const ListenerTotals& totals = row.totals;
  families.Add(MetricId::kListenerConnections, {name}, totals.connections);
  families.Add(MetricId::kListenerSessions, {name}, totals.sessions);
  for (size_t i = 0; i < totals.logins.size(); ++i) {
    families.Add(MetricId::kListenerLogins, {name, LoginResultName(static_cast<LoginResult>(i))},
                 totals.logins[i]);
  }
  for (size_t i = 0; i < totals.closed.size(); ++i) {
    families.AddNonZero(MetricId::kListenerSessionsClosed,
                        {name, CloseReasonName(static_cast<CloseReason>(i))}, totals.closed[i]);
  }
  for (size_t i = 0; i < totals.tls_versions.size(); ++i) {
    families.AddNonZero(MetricId::kListenerTlsHandshakes,
                        {name, TlsVersionName(static_cast<TlsVersion>(i))}, totals.tls_versions[i]);
  }
  for (size_t i = 0; i < totals.tls_ciphers.size(); ++i) {
    families.AddNonZero(MetricId::kListenerTlsCiphers,
                        {name, TlsCipherName(static_cast<TlsCipher>(i))}, totals.tls_ciphers[i]);
  }
  families.Add(MetricId::kListenerTlsResumed, {name}, totals.tls_resumed);
  families.Add(MetricId::kListenerBytes, {name, "in"}, totals.bytes_in);
  families.Add(MetricId::kListenerBytes, {name, "out"}, totals.bytes_out);
  families.Add(MetricId::kListenerBadCommands, {name}, totals.bad_commands);
  families.Add(MetricId::kListenerStlsInjections, {name}, totals.stls_injections);
  for (size_t i = 0; i < totals.guard_refusals.size(); ++i) {
    families.AddNonZero(MetricId::kListenerGuardRefusals,
                        {name, GuardRefusalName(static_cast<GuardRefusal>(i))},
                        totals.guard_refusals[i]);
  }
  families.Add(MetricId::kListenerGuardDelays, {name}, totals.guard_delays);
  families.Add(MetricId::kListenerGuardDelaySeconds, {name}, totals.guard_delay_seconds);
  families.Add(MetricId::kListenerPolicyTarpits, {name}, totals.policy_tarpits);
  families.Add(MetricId::kListenerPolicyTarpitSeconds, {name}, totals.policy_tarpit_seconds);
  families.Add(MetricId::kListenerPolicyUnanswered, {name}, totals.policy_unanswered);
  families.AddObserved(MetricId::kListenerHandshakeSeconds, {name}, totals.handshake);
  families.AddObserved(MetricId::kListenerLoginSeconds, {name}, totals.login);
}

void AddBackend(Families& families, const StatusSummary::Backend& row) {
  const absl::string_view name = row.name;
  const absl::string_view pool = row.pool;
  const BackendTotals& totals = row.totals;
  if (row.health.has_value()) {
    families.Add(MetricId::kBackendUp, {name, pool}, row.health->up ? 1.0 : 0.0);
    families.Add(MetricId::kBackendChecks, {name, pool, "good"}, row.health->checks_good);
    families.Add(MetricId::kBackendChecks, {name, pool, "bad"}, row.health->checks_bad);
    families.Add(MetricId::kBackendHealthChanges, {name, pool}, row.health->changes);
    families.Add(MetricId::kBackendOutOfService, {name, pool},
                 row.health->service == "enabled" ? 0.0 : 1.0);
    families.Add(MetricId::kBackendEjected, {name, pool},
                 row.health->ejected_seconds_left > 0 ? 1.0 : 0.0);
    for (const auto& [reason, count] : row.health->ejections_by) {
      families.Add(MetricId::kBackendEjections, {name, pool, reason}, count);
    }
    families.Add(MetricId::kBackendWeight, {name, pool}, row.health->weight_now);
  }
  families.Add(MetricId::kBackendConnects, {name, pool}, totals.connects);
  for (size_t i = 0; i < totals.errors.size(); ++i) {
    families.AddNonZero(MetricId::kBackendErrors,
                        {name, pool, UpstreamErrorName(static_cast<UpstreamError>(i))},
                        totals.errors[i]);
  }
  families.Add(MetricId::kBackendSessions, {name, pool}, totals.sessions);
  families.Add(MetricId::kBackendSessionsTotal, {name, pool}, totals.sessions_total);
  for (size_t i = 0; i < totals.logins.size(); ++i) {
    families.Add(MetricId::kBackendLogins,
                 {name, pool, LoginResultName(static_cast<LoginResult>(i))}, totals.logins[i]);
  }
  for (size_t i = 0; i < totals.closed.size(); ++i) {
    families.AddNonZero(MetricId::kBackendSessionsClosed,
                        {name, pool, CloseReasonName(static_cast<CloseReason>(i))},
                        totals.closed[i]);
  }
  families.AddObserved(MetricId::kBackendConnectSeconds, {name, pool}, totals.connect);
  families.AddObserved(MetricId::kBackendGreetingSeconds, {name, pool}, totals.greeting);
  families.AddObserved(MetricId::kBackendLoginSeconds, {name, pool}, totals.login);
  families.AddObserved(MetricId::kBackendQueueSeconds, {name, pool}, totals.queue);
  for (size_t i = 0; i < totals.in_use_waits.size(); ++i) {
    families.AddNonZero(MetricId::kBackendInUseWaits,
                        {name, pool, InUseResultName(static_cast<InUseResult>(i))},
                        totals.in_use_waits[i]);
  }
  families.AddObserved(MetricId::kBackendInUseSeconds, {name, pool}, totals.in_use);
  families.Add(MetricId::kBackendBytes, {name, pool, "to"}, totals.bytes_to);
  families.Add(MetricId::kBackendBytes, {name, pool, "from"}, totals.bytes_from);
  for (size_t i = 0; i < totals.commands.size(); ++i) {
    families.AddNonZero(MetricId::kBackendCommands,
                        {name, pool, RelayVerbName(static_cast<RelayVerb>(i))}, totals.commands[i]);
  }
  families.Add(MetricId::kBackendSplicedBytes, {name, pool}, totals.bytes_spliced);
  families.Add(MetricId::kBackendMessagesRetrieved, {name, pool}, totals.messages_retrieved);
}

void AddLookup(Families& families, const LookupFacts& lookup) {
  const absl::string_view name = lookup.name;
  for (size_t i = 0; i < lookup.answers.size(); ++i) {
    families.Add(MetricId::kLookupQuestions, {name, LookupAnswerName(i)}, lookup.answers[i]);
  }
  families.Add(MetricId::kLookupCache, {name, "hit"}, lookup.hits);
  families.Add(MetricId::kLookupCache, {name, "miss"}, lookup.misses);
  families.Add(MetricId::kLookupCache, {name, "stale"}, lookup.stale);
  families.Add(MetricId::kLookupCache, {name, "coalesced"}, lookup.coalesced);
  families.Add(MetricId::kLookupCacheEntries, {name}, lookup.entries);
  families.Add(MetricId::kLookupCacheEvictions, {name}, lookup.evictions);
  families.Add(MetricId::kLookupRejected, {name, "queue_full"}, lookup.queue_full);
  families.Add(MetricId::kLookupRejected, {name, "breaker"}, lookup.breaker);
  families.Add(MetricId::kLookupRejected, {name, "timeout"}, lookup.timed_out);
  families.Add(MetricId::kLookupWaiting, {name}, lookup.waiting);
  families.Add(MetricId::kLookupQueued, {name}, lookup.queued);
  families.Add(MetricId::kLookupInFlight, {name}, lookup.in_flight);
  families.Add(MetricId::kLookupBreakerOpen, {name}, lookup.breaker_open ? 1.0 : 0.0);
  families.AddObserved(MetricId::kLookupSeconds, {name}, lookup.seconds);
}

// Of the policy service: what it was asked by one of those who ask it.
void AddPolicy(Families& families, const LookupFacts& asker) {
  const absl::string_view command = asker.name;
  const auto answers = [&asker](absl::string_view name) {
    for (size_t i = 0; i < asker.answers.size(); ++i) {
      if (LookupAnswerName(i) == name) return asker.answers[i];
    }
    return uint64_t{0};
  };
  families.Add(MetricId::kPolicyRequests, {command, "answered"}, answers("found"));
  families.Add(MetricId::kPolicyRequests, {command, "refused"}, answers("forbidden"));
  families.Add(MetricId::kPolicyRequests, {command, "failed"}, answers("temporary"));
  families.Add(MetricId::kPolicyDropped, {command, "queue_full"}, asker.queue_full);
  families.Add(MetricId::kPolicyDropped, {command, "breaker"}, asker.breaker);
  families.Add(MetricId::kPolicyDropped, {command, "timeout"}, asker.timed_out);
  families.Add(MetricId::kPolicyQueued, {command}, asker.queued);
  families.Add(MetricId::kPolicyInFlight, {command}, asker.in_flight);
  families.Add(MetricId::kPolicyBreakerOpen, {command}, asker.breaker_open ? 1.0 : 0.0);
  families.AddObserved(MetricId::kPolicySeconds, {command}, asker.seconds);
}

void AddLoop(Families& families, size_t worker, const LoopStats& stats) {
  const std::string number = absl::StrCat(worker);
  families.Add(MetricId::kLoopTurns, {number}, stats.turns.Get());
  families.Add(MetricId::kLoopCompletions, {number}, stats.completions.Get());
  families.Add(MetricId::kAcceptErrors, {number}, stats.accept_errors.Get());
  families.Add(MetricId::kBuffersExhausted, {number}, stats.buffers_exhausted.Get());
  families.Add(MetricId::kCqOverflows, {number}, stats.cq_overflows.Get());
  families.Add(MetricId::kConnections, {number}, stats.connections_active.Get());
}

}  // namespace

std::string ExpositionText(const StatusSummary& summary, const ProcessStats& process,
                           const std::vector<const LoopStats*>& loops) {
  Families families;
  AddProcess(families, summary, process);
  AddServer(families, summary);
  AddGuard(families, summary.facts.guard);
  for (const StatusSummary::Listener& listener : summary.listeners) AddListener(families, listener);
  for (const StatusSummary::Backend& backend : summary.backends) AddBackend(families, backend);
  for (const LookupFacts& lookup : summary.facts.lookups) AddLookup(families, lookup);
  for (const LookupFacts& asker : summary.facts.policy) AddPolicy(families, asker);
  for (size_t i = 0; i < loops.size(); ++i) AddLoop(families, i, *loops[i]);
  return std::move(families).ToText();
}

}  // namespace postern::metrics
