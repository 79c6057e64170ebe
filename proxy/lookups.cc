#include "proxy/lookups.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/status_macros.h"
#include "proxy/lookup_source_maker.h"
#include "routing/stable_hash.h"

namespace postern {

static_assert(routing::kLookupSecondsBounds == metrics::LatencyHistogram::kBounds);
static_assert(routing::kLookupKindCount == metrics::kLookupAnswerCount);

namespace {

// What is written in the table, and which files it names: another password or CA at the same place
// is another lookup.
uint64_t StampOf(const config::Lookup& lookup) {
  std::string text = absl::StrCat(lookup.fingerprint);
  std::vector<std::string> files = lookup.files;
  if (!lookup.password_file.empty()) files.push_back(lookup.password_file);
  for (const std::string& file : files) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0) continue;
    absl::StrAppend(&text, ":", status.st_dev, ":", status.st_ino, ":", status.st_size, ":",
                    status.st_mtim.tv_sec, ":", status.st_mtim.tv_nsec, ":", status.st_ctim.tv_sec,
                    ":", status.st_ctim.tv_nsec);
  }
  return routing::StableHash(text);
}

}  // namespace

absl::StatusOr<Lookups::Services> Lookups::Start(const std::vector<config::Lookup>& configured) {
  Services services;
  stamps_.clear();
  for (const config::Lookup& lookup : configured) {
    stamps_.push_back(StampOf(lookup));
    const auto running = running_.find(lookup.options.name);
    if (running != running_.end() && running->second.stamp == stamps_.back()) {
      services.push_back(running->second.service);
      continue;
    }
    std::shared_ptr<routing::LookupCounters>& counters = counters_[lookup.options.name];
    if (counters == nullptr) counters = std::make_shared<routing::LookupCounters>();
    const auto digest = [digest = digest_](absl::string_view message) {
      const std::array<char, 32> whole = digest->Digest(message);
      routing::LookupKey key;
      std::memcpy(key.bytes.data(), whole.data(), key.bytes.size());
      return key;
    };
    ASSIGN_OR_RETURN(const routing::LookupFactory make, PrepareLookup(lookup));
    ASSIGN_OR_RETURN(
        std::shared_ptr<routing::LookupService> service,
        routing::LookupService::Start(lookup.options, lookup.traits, make, digest, counters));
    services.push_back(std::move(service));
  }
  return services;
}

void Lookups::Use(const std::vector<config::Lookup>& configured, const Services& services) {
  running_.clear();
  for (size_t i = 0; i < services.size(); ++i) {
    running_[configured[i].options.name] = {stamps_[i], services[i]};
  }
}

void Lookups::Stop() {
  for (const auto& [name, running] : running_) {
    running.service->Stop(running.service->options().timeout + kSecond);
  }
  running_.clear();
}

metrics::LookupFacts FactsOf(const routing::LookupService& service) {
  const auto get = [](const routing::LookupCounters::Count& count) {
    return count.load(std::memory_order_relaxed);
  };
  const routing::LookupCounters& counters = service.counters();
  const routing::LookupReport report = service.Report();
  metrics::LookupFacts lookup;
  lookup.name = service.options().name;
  for (size_t i = 0; i < counters.answers.size(); ++i) lookup.answers[i] = get(counters.answers[i]);
  lookup.hits = get(counters.hits);
  lookup.misses = get(counters.misses);
  lookup.stale = get(counters.stale);
  lookup.coalesced = get(counters.coalesced);
  lookup.evictions = get(counters.evictions);
  lookup.queue_full = get(counters.queue_full);
  lookup.breaker = get(counters.breaker);
  lookup.timed_out = get(counters.timed_out);
  for (size_t i = 0; i < counters.seconds.size(); ++i) {
    lookup.seconds.buckets[i] = get(counters.seconds[i]);
  }
  lookup.seconds.sum_seconds = static_cast<double>(get(counters.nanoseconds)) / 1e9;
  lookup.waiting = report.waiting;
  lookup.queued = report.queued;
  lookup.in_flight = report.in_flight;
  lookup.entries = report.entries;
  lookup.breaker_open = report.breaker_open;
  return lookup;
}

void DescribeLookups(const Snapshot& snapshot, metrics::ServerFacts* facts) {
  for (const std::shared_ptr<routing::LookupService>& service : snapshot.lookups) {
    facts->lookups.push_back(FactsOf(*service));
  }
}

}  // namespace postern
