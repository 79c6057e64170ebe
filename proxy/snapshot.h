// The configuration as sessions use it: immutable, shared, kept alive by whoever started under it.
// A reload makes a new one; sessions that are under way keep theirs.
#ifndef POSTERN_PROXY_SNAPSHOT_H_
#define POSTERN_PROXY_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/address_book.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"
#include "proxy/config/secrets.h"
#include "proxy/guard/guard.h"
#include "proxy/offer_book.h"
#include "proxy/pop3/login_dialogue.h"
#include "routing/backend_state.h"
#include "routing/lookup/lookup_service.h"
#include "routing/router.h"
#include "tls/context.h"

namespace postern {

// Shared by all workers.
struct Snapshot {
  uint64_t generation = 0;
  config::Config config;
  std::shared_ptr<const routing::Router> router;  // let go without waiting, see router_loader.h
  std::unique_ptr<const config::SecretsFile> secrets;  // null without APOP
  std::vector<pop3::DialogueOptions> dialogues;        // by index in config.listeners
  std::vector<size_t> listener_stats;                  // metric id by index in config.listeners
  std::vector<size_t> backend_stats;                   // metric id by index in config.backends
  std::vector<std::string> backend_pools;              // label by index in config.backends
  std::vector<Secret> master_passwords;                // by index in config.backends
  std::vector<Secret> canary_passwords;                // of health checks, likewise
  routing::BackendStateList backend_states;            // likewise
  std::shared_ptr<routing::Affinity> affinity;
  std::shared_ptr<routing::RecentHomes> recent_homes;
  std::vector<std::shared_ptr<routing::PoolQueue>> pool_queues;  // by pool; null: nobody waits
  // By index in config.backends: of the pools that hold it and let logins wait.
  std::vector<std::vector<std::shared_ptr<routing::PoolQueue>>> queues_of_backend;
  std::shared_ptr<guard::Guard> guard;                       // null where nothing is guarded
  std::shared_ptr<const guard::AddressLists> address_lists;  // null without
  std::shared_ptr<routing::Overrides> overrides;
  std::shared_ptr<routing::Holds> holds;
  std::shared_ptr<routing::Maildrops> maildrops;
  std::shared_ptr<AddressBook> addresses;  // indices of config.backends
  std::unique_ptr<OfferBook> offers;       // null where nobody is offered anything
  std::vector<std::shared_ptr<routing::LookupService>> lookups;  // by index in config.lookups
  std::vector<std::shared_ptr<routing::LookupService>> policy;   // by index in policy.askers
  Secret policy_nonce;                                           // of hashes shown to them
  // Index in config.backends by address as SocketAddress prints it, where it is a literal one;
  // empty without lookups, whose answers it is for.
  absl::flat_hash_map<std::string, size_t> backends_by_address;
};

// What one thread needs on top: TLS contexts that live in the thread's own library context.
struct WorkerSnapshot {
  std::shared_ptr<const Snapshot> shared;
  std::unique_ptr<tls::ServerContext> server_tls;               // null without certificates, and
                                                                // for health checks
  std::vector<std::unique_ptr<tls::ClientContext>> client_tls;  // null where TLS is off
  // By index in config.listeners: of those that ask for certificates; null: server_tls.
  std::vector<std::unique_ptr<tls::ServerContext>> listener_tls;

  // Of a listener with TLS.
  const tls::ServerContext& TlsOf(size_t listener) const {
    const std::unique_ptr<tls::ServerContext>& own = listener_tls[listener];
    return own != nullptr ? *own : *server_tls;
  }
};

}  // namespace postern

#endif  // POSTERN_PROXY_SNAPSHOT_H_
