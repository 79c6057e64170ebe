#include "proxy/snapshot_builder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/base/all_errors.h"
#include "proxy/base/log.h"
#include "proxy/base/own_addresses.h"
#include "proxy/base/secret.h"
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

// The value, or null with the error noted.
template <typename T>
T Noted(absl::StatusOr<T> value, AllErrors* errors) {
  errors->Add(value.status());
  return value.ok() ? *std::move(value) : T();
}

absl::Status AddClientContexts(const config::Config& config, tls::Library* library,
                               WorkerSnapshot* snapshot) {
  AllErrors errors;
  for (const config::Backend& backend : config.backends) {
    std::unique_ptr<tls::ClientContext> context;
    if (backend.tls != config::UpstreamTls::kOff) {
      context = Noted(tls::ClientContext::Create(backend.tls_options, library), &errors);
    }
    snapshot->client_tls.push_back(std::move(context));
  }
  return errors.ToStatus();
}

absl::Status AddListenerContexts(const config::Config& config, tls::Library* library,
                                 WorkerSnapshot* snapshot) {
  AllErrors errors;
  for (const config::Listener& listener : config.listeners) {
    std::unique_ptr<tls::ServerContext> context;
    if (listener.client_certificate != tls::ClientCertificate::kNone) {
      tls::ServerOptions options = config.tls;
      options.client_certificate = listener.client_certificate;
      options.client_ca_file = listener.client_ca;
      context = Noted(tls::ServerContext::Create(options, library), &errors);
    }
    snapshot->listener_tls.push_back(std::move(context));
  }
  return errors.ToStatus();
}

// All that has to do with certificates, on both sides of sessions.
absl::Status AddContexts(const config::Config& config, tls::Library* library,
                         std::shared_ptr<tls::TicketKeys> tickets, WorkerSnapshot* snapshot) {
  AllErrors errors;
  if (!config.tls.certificates.empty()) {
    snapshot->server_tls =
        Noted(tls::ServerContext::Create(config.tls, library, std::move(tickets)), &errors);
  }
  errors.Add(AddListenerContexts(config, library, snapshot));
  errors.Add(AddClientContexts(config, library, snapshot));
  return errors.ToStatus();
}

// Those of lookups are read again by whoever asks.
absl::Status CheckLookupFiles(const config::Config& config) {
  AllErrors errors;
  for (const config::Lookup& lookup : config.lookups) {
    for (const std::string& file : lookup.files) {
      errors.Add(
          config::ReadSmallFile(file, kLookupFileBytesMax, config::FilePrivacy::kAnyone).status());
    }
    if (lookup.password_file.empty()) continue;
    errors.Add(config::ReadPasswordFile(lookup.password_file).status());
  }
  return errors.ToStatus();
}

absl::Status ReadPasswords(const config::Config& config, Snapshot* snapshot) {
  AllErrors errors;
  for (const config::Backend& backend : config.backends) {
    Secret password;
    if (backend.login == config::UpstreamLogin::kMaster) {
      password = Noted(config::ReadPasswordFile(backend.master_password_file), &errors);
    }
    snapshot->master_passwords.push_back(std::move(password));
    Secret canary;
    if (!backend.health.password_file.empty()) {
      canary = Noted(config::ReadPasswordFile(backend.health.password_file), &errors);
    }
    snapshot->canary_passwords.push_back(std::move(canary));
  }
  return errors.ToStatus();
}

// Everything that stands in files but for certificates.
absl::Status ReadFiles(const config::Config& config, Snapshot* snapshot) {
  AllErrors errors;
  snapshot->router = Noted(LoadRouter(config.routing), &errors);
  if (!config.auth.secrets_file.empty()) {
    config::SecretsFile::Normalise normalise;
    if (snapshot->router != nullptr) {
      normalise = [snapshot](absl::string_view user) {
        return snapshot->router->NormaliseUser(user);
      };
    }
    snapshot->secrets =
        Noted(config::SecretsFile::Load(config.auth.secrets_file, normalise), &errors);
  }
  if (config.guard.has_lists()) {
    snapshot->address_lists = Noted(guard::LoadAddressLists(config.guard), &errors);
  }
  errors.Add(CheckLookupFiles(config));
  errors.Add(LoadPolicyFiles(config, snapshot));
  errors.Add(ReadPasswords(config, snapshot));
  return errors.ToStatus();
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
  RETURN_IF_ERROR(ReadFiles(config, snapshot.get()));
  snapshot->affinity = states->affinity();
  snapshot->recent_homes = states->recent_homes();
  snapshot->overrides = states->overrides();
  snapshot->holds = states->holds();
  snapshot->maildrops = states->maildrops();
  snapshot->backend_pools = PoolLabels(config);
  std::vector<OwnAddresses::Listener> listeners;
  for (const config::Listener& listener : config.listeners) {
    listeners.push_back({listener.address, listener.v6only});
  }
  auto addresses = std::make_shared<AddressBook>(
      config.backends.size(), OwnAddresses(std::move(listeners), InterfaceAddresses()));
  for (size_t i = 0; i < config.backends.size(); ++i) {
    const config::Backend& backend = config.backends[i];
    ASSIGN_OR_RETURN(const size_t id,
                     registry->BackendId(backend.name, snapshot->backend_pools[i]));
    snapshot->backend_stats.push_back(id);
    snapshot->backend_states.push_back(states->Get(backend.name));
    AddressList literal = LiteralAddress(backend.address);
    if (literal != nullptr && !config.lookups.empty()) {
      snapshot->backends_by_address.emplace((*literal)[0].ToString(), i);
    }
    const std::string place = literal == nullptr ? "" : (*literal)[0].ToString();
    if (addresses->Set(i, std::move(literal))) {
      log::Warning(absl::StrCat("backend ", backend.name, ": ", place,
                                " is a listener of ours; no login is sent there"));
    }
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

absl::Status CheckTlsFiles(const config::Config& config, tls::Library* library) {
  WorkerSnapshot snapshot;
  return AddContexts(config, library, nullptr, &snapshot);
}

absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> BuildWorkerSnapshot(
    std::shared_ptr<const Snapshot> shared, tls::Library* library,
    std::shared_ptr<tls::TicketKeys> tickets) {
  auto snapshot = std::make_shared<WorkerSnapshot>();
  const config::Config& config = shared->config;
  RETURN_IF_ERROR(AddContexts(config, library, std::move(tickets), snapshot.get()));
  snapshot->shared = std::move(shared);
  return absl::StatusOr<std::shared_ptr<const WorkerSnapshot>>(std::move(snapshot));
}

}  // namespace postern
