#include "proxy/snapshot_builder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/base/status_macros.h"
#include "proxy/config/reachable.h"
#include "proxy/config/secrets.h"
#include "proxy/config/small_file.h"
#include "proxy/guard/address_lists.h"
#include "proxy/policy_services.h"
#include "proxy/router_loader.h"

namespace postern {
namespace {

// A file of CAs.
constexpr size_t kLookupFileBytesMax = 16 << 20;

// What the dialogue may offer on one listener.
pop3::DialogueOptions DialogueFor(const config::Config& config, const config::Listener& listener) {
  pop3::DialogueOptions options = config.dialogue;
  options.hostname = config.hostname;
  options.stls = listener.tls == config::ListenerTls::kStls;
  options.plaintext_logins = listener.plaintext_logins;
  if (listener.capabilities.has_value()) options.capabilities = *listener.capabilities;
  options.mechanisms = config::MechanismsOf(config, listener);
  return options;
}

std::vector<std::string> PoolLabels(const config::Config& config) {
  std::vector<std::string> labels(config.backends.size());
  for (const routing::PoolOptions& pool : config.routing.pools) {
    for (const int backend : pool.backends) {
      std::string& label = labels[static_cast<size_t>(backend)];
      if (label.empty()) label = pool.name;
    }
  }
  return labels;
}

// A literal address or a unix socket; null for a host name.
AddressList LiteralAddress(const HostPort& address) {
  const absl::StatusOr<SocketAddress> parsed =
      address.is_unix() ? SocketAddress::Parse("unix:" + address.unix_path)
                        : SocketAddress::FromIp(address.host, address.port);
  if (!parsed.ok()) return nullptr;
  return std::make_shared<const std::vector<SocketAddress>>(1, *parsed);
}

void AddQueues(routing::BackendStates* states, Snapshot* snapshot) {
  snapshot->queues_of_backend.resize(snapshot->config.backends.size());
  for (const routing::PoolOptions& pool : snapshot->config.routing.pools) {
    snapshot->pool_queues.push_back(pool.queue.wait > 0 ? states->Queue(pool.name) : nullptr);
    if (pool.queue.wait == 0) continue;
    for (const int backend : pool.backends) {
      snapshot->queues_of_backend[static_cast<size_t>(backend)].push_back(
          snapshot->pool_queues.back());
    }
  }
}

absl::Status AddClientContexts(const config::Config& config, tls::Library* library,
                               WorkerSnapshot* snapshot) {
  for (const config::Backend& backend : config.backends) {
    std::unique_ptr<tls::ClientContext> context;
    if (backend.tls != config::UpstreamTls::kOff) {
      ASSIGN_OR_RETURN(context, tls::ClientContext::Create(backend.tls_options, library));
    }
    snapshot->client_tls.push_back(std::move(context));
  }
  return absl::OkStatus();
}

absl::Status AddListenerContexts(const config::Config& config, tls::Library* library,
                                 WorkerSnapshot* snapshot) {
  for (const config::Listener& listener : config.listeners) {
    std::unique_ptr<tls::ServerContext> context;
    if (listener.client_certificate != tls::ClientCertificate::kNone) {
      tls::ServerOptions options = config.tls;
      options.client_certificate = listener.client_certificate;
      options.client_ca_file = listener.client_ca;
      ASSIGN_OR_RETURN(context, tls::ServerContext::Create(options, library));
    }
    snapshot->listener_tls.push_back(std::move(context));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Snapshot>> BuildSnapshot(config::Config config,
                                                        metrics::Registry* registry,
                                                        uint64_t generation,
                                                        routing::BackendStates* states) {
  routing::BackendStates fresh;
  if (states == nullptr) states = &fresh;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->generation = generation;
  ASSIGN_OR_RETURN(snapshot->router, LoadRouter(config.routing));
  if (!config.auth.secrets_file.empty()) {
    const auto normalise = [&](absl::string_view user) {
      return snapshot->router->NormaliseUser(user);
    };
    ASSIGN_OR_RETURN(snapshot->secrets,
                     config::SecretsFile::Load(config.auth.secrets_file, normalise));
  }
  if (config.guard.has_lists()) {
    ASSIGN_OR_RETURN(snapshot->address_lists, guard::LoadAddressLists(config.guard));
  }
  for (const config::Lookup& lookup : config.lookups) {
    for (const std::string& file : lookup.files) {
      RETURN_IF_ERROR(
          config::ReadSmallFile(file, kLookupFileBytesMax, config::FilePrivacy::kAnyone).status());
    }
    if (lookup.password_file.empty()) continue;
    RETURN_IF_ERROR(config::ReadPasswordFile(lookup.password_file).status());
  }
  RETURN_IF_ERROR(LoadPolicyFiles(config, snapshot.get()));
  snapshot->affinity = states->affinity();
  snapshot->overrides = states->overrides();
  snapshot->holds = states->holds();
  snapshot->maildrops = states->maildrops();
  snapshot->backend_pools = PoolLabels(config);
  auto addresses = std::make_shared<AddressBook>(config.backends.size());
  for (size_t i = 0; i < config.backends.size(); ++i) {
    const config::Backend& backend = config.backends[i];
    Secret password;
    if (backend.login == config::UpstreamLogin::kMaster) {
      ASSIGN_OR_RETURN(password, config::ReadPasswordFile(backend.master_password_file));
    }
    snapshot->master_passwords.push_back(std::move(password));
    Secret canary;
    if (!backend.health.password_file.empty()) {
      ASSIGN_OR_RETURN(canary, config::ReadPasswordFile(backend.health.password_file));
    }
    snapshot->canary_passwords.push_back(std::move(canary));
    ASSIGN_OR_RETURN(const size_t id,
                     registry->BackendId(backend.name, snapshot->backend_pools[i]));
    snapshot->backend_stats.push_back(id);
    snapshot->backend_states.push_back(states->Get(backend.name));
    AddressList literal = LiteralAddress(backend.address);
    if (literal != nullptr && !config.lookups.empty()) {
      snapshot->backends_by_address.emplace((*literal)[0].ToString(), i);
    }
    addresses->Set(i, std::move(literal));
  }
  for (const config::Listener& listener : config.listeners) {
    snapshot->dialogues.push_back(DialogueFor(config, listener));
    ASSIGN_OR_RETURN(const size_t id, registry->ListenerId(listener.name));
    snapshot->listener_stats.push_back(id);
  }
  snapshot->addresses = std::move(addresses);
  snapshot->config = std::move(config);
  AddQueues(states, snapshot.get());
  snapshot->offers = std::make_unique<OfferBook>(&snapshot->config, snapshot->backend_states);
  return snapshot;
}

void PutInUse(const Snapshot& snapshot) {
  std::vector<DurationNs> slow_starts(snapshot.backend_states.size());
  for (const routing::PoolOptions& pool : snapshot.config.routing.pools) {
    for (const int backend : pool.backends) {
      DurationNs& slow_start = slow_starts[static_cast<size_t>(backend)];
      slow_start = std::max(slow_start, pool.slow_start);
    }
  }
  for (size_t i = 0; i < slow_starts.size(); ++i) {
    snapshot.backend_states[i]->SetSlowStart(slow_starts[i]);
  }
}

absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> BuildHealthSnapshot(
    std::shared_ptr<const Snapshot> shared, tls::Library* library) {
  auto snapshot = std::make_shared<WorkerSnapshot>();
  RETURN_IF_ERROR(AddClientContexts(shared->config, library, snapshot.get()));
  snapshot->shared = std::move(shared);
  return absl::StatusOr<std::shared_ptr<const WorkerSnapshot>>(std::move(snapshot));
}

absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> BuildWorkerSnapshot(
    std::shared_ptr<const Snapshot> shared, tls::Library* library,
    std::shared_ptr<tls::TicketKeys> tickets) {
  auto snapshot = std::make_shared<WorkerSnapshot>();
  const config::Config& config = shared->config;
  if (!config.tls.certificates.empty()) {
    ASSIGN_OR_RETURN(snapshot->server_tls,
                     tls::ServerContext::Create(config.tls, library, std::move(tickets)));
  }
  RETURN_IF_ERROR(AddListenerContexts(config, library, snapshot.get()));
  RETURN_IF_ERROR(AddClientContexts(config, library, snapshot.get()));
  snapshot->shared = std::move(shared);
  return absl::StatusOr<std::shared_ptr<const WorkerSnapshot>>(std::move(snapshot));
}

}  // namespace postern
