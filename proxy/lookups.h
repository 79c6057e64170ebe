// The lookups of the running process: which service belongs to which [[lookup]], over reloads.
#ifndef POSTERN_PROXY_LOOKUPS_H_
#define POSTERN_PROXY_LOOKUPS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/collector.h"
#include "proxy/config/lookup.h"
#include "proxy/snapshot.h"
#include "routing/lookup/lookup_service.h"
#include "tls/digest.h"

namespace postern {

// Main thread only.
class Lookups {
 public:
  using Services = std::vector<std::shared_ptr<routing::LookupService>>;

  // In the order of `configured`. One whose table and files have not changed is the one that is in
  // use, with what it remembers; the others are started, and nothing is taken into use yet.
  absl::StatusOr<Services> Start(const std::vector<config::Lookup>& configured);
  // They are in use from now on. Those before live until their last session lets go of them.
  void Use(const std::vector<config::Lookup>& configured, const Services& services);
  // Nobody asks any more: all sessions are over. Waits for questions on their way to their sources,
  // as long as these may take.
  void Stop();

 private:
  struct Running {
    uint64_t stamp = 0;
    std::shared_ptr<routing::LookupService> service;
  };
  // One for all, so that no two questions of two lookups look alike either.
  const std::shared_ptr<const tls::RandomKeyedDigest> digest_ =
      std::make_shared<const tls::RandomKeyedDigest>();
  std::map<std::string, Running> running_;
  std::vector<uint64_t> stamps_;  // of what Start() was last asked for
  std::map<std::string, std::shared_ptr<routing::LookupCounters>> counters_;  // all there ever were
};

// What is known of one service. Any thread.
metrics::LookupFacts FactsOf(const routing::LookupService& service);
// Fills facts->lookups. Any thread.
void DescribeLookups(const Snapshot& snapshot, metrics::ServerFacts* facts);

}  // namespace postern

#endif  // POSTERN_PROXY_LOOKUPS_H_
