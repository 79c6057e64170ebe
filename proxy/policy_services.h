// What the rest of the process does for the policy service, see session_policy.cc for the logins.
#ifndef POSTERN_PROXY_POLICY_SERVICES_H_
#define POSTERN_PROXY_POLICY_SERVICES_H_

#include "absl/status/status.h"
#include "metrics/collector.h"
#include "proxy/snapshot.h"

namespace postern {

// Reads the files that `config.policy` names, and keeps the nonce in *snapshot.
absl::Status LoadPolicyFiles(const config::Config& config, Snapshot* snapshot);

// Fills facts->policy. Any thread.
void DescribePolicy(const Snapshot& snapshot, metrics::ServerFacts* facts);

}  // namespace postern

#endif  // POSTERN_PROXY_POLICY_SERVICES_H_
