// From a configuration to the snapshot that sessions use. Everything that can be wrong with files
// is found here, before anything in use is touched.
#ifndef POSTERN_PROXY_SNAPSHOT_BUILDER_H_
#define POSTERN_PROXY_SNAPSHOT_BUILDER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "metrics/registry.h"
#include "proxy/config/config.h"
#include "proxy/snapshot.h"
#include "routing/backend_state.h"
#include "tls/context.h"

namespace postern {

// Loads the map files, secrets and passwords; an error has a line for each that is wrong. Backends
// with literal addresses can be reached at once; host names wait for the resolver. What is known of
// backends comes from `states`; null for whoever looks at a configuration only.
absl::StatusOr<std::shared_ptr<Snapshot>> BuildSnapshot(config::Config config,
                                                        metrics::Registry* registry,
                                                        uint64_t generation,
                                                        routing::BackendStates* states = nullptr);

// What the states of its backends learn from a configuration that is now in use: from here on there
// is no way back.
void PutInUse(const Snapshot& snapshot);

// What health checks need: the backends' side only.
absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> BuildHealthSnapshot(
    std::shared_ptr<const Snapshot> shared, tls::Library* library);

// Whether all certificates and CAs can be used, for whoever has no snapshot.
absl::Status CheckTlsFiles(const config::Config& config, tls::Library* library);

// Loads the certificates into `library`, which is the worker's.
absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> BuildWorkerSnapshot(
    std::shared_ptr<const Snapshot> shared, tls::Library* library,
    std::shared_ptr<tls::TicketKeys> tickets);

}  // namespace postern

#endif  // POSTERN_PROXY_SNAPSHOT_BUILDER_H_
