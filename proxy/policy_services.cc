#include "proxy/policy_services.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "proxy/base/all_errors.h"
#include "proxy/config/secrets.h"
#include "proxy/config/small_file.h"
#include "proxy/lookups.h"

namespace postern {
namespace {

constexpr size_t kCaFileBytesMax = 16 << 20;

}  // namespace

absl::Status LoadPolicyFiles(const config::Config& config, Snapshot* snapshot) {
  if (!config.policy.on()) return absl::OkStatus();
  AllErrors errors;
  absl::StatusOr<Secret> nonce = config::ReadPasswordFile(config.policy.nonce_file);
  errors.Add(nonce.status());
  if (nonce.ok()) snapshot->policy_nonce = *std::move(nonce);
  const config::Lookup& asker = config.policy.askers[0];
  if (!asker.password_file.empty()) {
    errors.Add(config::ReadPasswordFile(asker.password_file).status());
  }
  for (const std::string& file : asker.files) {
    errors.Add(config::ReadSmallFile(file, kCaFileBytesMax, config::FilePrivacy::kAnyone).status());
  }
  return errors.ToStatus();
}

void DescribePolicy(const Snapshot& snapshot, metrics::ServerFacts* facts) {
  facts->policy.clear();
  for (const std::shared_ptr<routing::LookupService>& service : snapshot.policy) {
    metrics::LookupFacts asker = FactsOf(*service);
    // Nobody waits for the end of a report.
    if (asker.name == "report") {
      asker.timed_out = service->counters().expired.load(std::memory_order_relaxed);
    }
    facts->policy.push_back(std::move(asker));
  }
}

}  // namespace postern
