// A configuration whose values have been read one by one, each with its place in the file, and
// whose parts have not been compared with each other yet.
//
//   text -> TomlNode (toml_tree) -> Draft (parse) -> Config (validate)
#ifndef POSTERN_PROXY_CONFIG_DRAFT_H_
#define POSTERN_PROXY_CONFIG_DRAFT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/config/diagnostics.h"
#include "proxy/config/table_reader.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {

// A value and its place. `written` without `good` was reported already: whoever compares it with
// others stays silent about it.
template <typename T>
struct Setting {
  T value{};
  bool written = false;
  bool good = false;
  Position position;  // of the value, or of its table when it is not written
};

// `mechanisms` of [auth] or of a listener.
struct MechanismsDraft {
  bool written = false;
  bool good = false;  // every word is a mechanism, once
  Position position;
  std::vector<std::pair<pop3::Mechanism, Position>> list;  // the good ones, in their order
};

struct ServerNameDraft {
  std::string name;
  Setting<std::string> backend;
};

struct ListenerDraft {
  Listener value;
  Position table;
  Setting<std::string> name;
  Setting<std::string> address;  // good: value.address is set
  Setting<ListenerTls> tls;
  Setting<bool> plaintext_logins;
  Setting<bool> v6only;
  Setting<bool> proxy_protocol;
  Setting<std::vector<IpNetwork>> proxy_networks;
  Setting<std::vector<IpNetwork>> xclient_networks;
  Setting<tls::ClientCertificate> client_certificate;
  Setting<std::string> client_ca;
  Setting<CertificateUser> certificate_user;
  Setting<std::string> backend;
  std::vector<ServerNameDraft> server_names;
  Position server_names_at;
  Setting<bool> greeting;  // the backend's
  MechanismsDraft mechanisms;
};

// A health = { ... } table.
struct HealthDraft {
  Health value;
  Setting<std::string> user;
  Setting<std::string> password_file;
};

// How to talk to a backend. A pool may say it for all the backends written inside it.
struct UpstreamDraft {
  Setting<UpstreamTls> tls;
  Setting<std::string> ca;
  Setting<std::string> server_name;
  Setting<bool> insecure;
  Setting<UpstreamLogin> login;
  Setting<UpstreamMechanism> mechanism;
  Setting<Pipelining> pipelining;
  Setting<UpstreamProxy> proxy_protocol;
  Setting<UpstreamXclient> xclient;
  Setting<pop3::ForwardFields> forward;
  Setting<std::string> master_user;
  Setting<std::string> master_password_file;
  Setting<std::string> master_format;
  Setting<int> referrals;
  Setting<HealthDraft> health;
  Setting<int> max_sessions;  // 0: no limit
  Setting<int> max_logins_in_flight;
};

// How a pool spreads its users.
struct BalanceDraft {
  Setting<routing::Balance> balance;
  Setting<bool> failover;
  Setting<double> load_bound;
  Setting<DurationNs> slow_start;
  Setting<routing::QueueRules> queue;
};

struct BackendDraft {
  Position table;
  Setting<std::string> name;
  Setting<std::string> address;  // good: host_port is set
  HostPort host_port;
  uint32_t weight = 100;
  Setting<bool> backup;
  Agent agent;
  UpstreamDraft own;
  int pool = -1;  // index of the pool it is written in; -1: a [[backend]]
};

struct PoolMember {
  int backend = -1;  // index into Draft::backends, or -1: look up `name`
  std::string name;
  Position position;
};

struct PoolDraft {
  Position table;
  Setting<std::string> name;
  Position backends;           // the list, or the table when there is none
  bool backends_good = false;  // every item of the list could be read
  BalanceDraft balance;
  routing::EjectRules eject;
  Position outliers;  // where `eject` has the first key about them
  bool affinity = true;
  Setting<DurationNs> affinity_for;
  Setting<routing::InUseRules> in_use;
  std::optional<DurationNs> login_delay;  // nothing: what [guard] says
  UpstreamDraft defaults;
  std::vector<PoolMember> members;
};

struct RouteDraft {
  Position table;
  Setting<std::string> map;
  Setting<std::string> cdb;
  Setting<std::string> rules;
  Setting<std::string> regex;
  Setting<std::string> target;
  Setting<std::string> users;
  Setting<std::string> pool;
  Setting<std::string> backend;
  Setting<std::string> lookup;
  std::optional<DurationNs> login_delay;  // nothing: what the pool or [guard] says
};

struct Draft {
  // Everything that needs no comparison is already in its final place here.
  Config config;
  std::vector<ListenerDraft> listeners;
  std::vector<BackendDraft> backends;
  std::vector<PoolDraft> pools;
  std::vector<RouteDraft> routes;
  bool certificates_written = false;
  Position auth;               // the [auth] table
  MechanismsDraft mechanisms;  // in it
  Setting<bool> apop;
  bool secrets_written = false;
  Setting<std::string> admin;
  Setting<std::string> admin_token;
};

// Reads every key of the document. Relative paths are taken from the directory of `file_name`.
void ParseDocument(const TomlNode& root, const std::string& file_name, Draft* draft,
                   Diagnostics* diagnostics);
// The part of it about backends, pools and routes; `reader` stands at the top of the file.
void ParseUpstreams(TableReader* reader, Draft* draft, Diagnostics* diagnostics);

// The keys of a listener about neighbours in front of it.
void ParseNeighbours(TableReader* reader, ListenerDraft* listener);
// The keys of a listener about clients' certificates; file names start at that of `file_name`.
void ParseClientCertificates(TableReader* reader, const std::string& file_name,
                             ListenerDraft* listener);
// The keys of a listener about the backend that all of its clients are at.
void ParseListenerBackend(TableReader* reader, Diagnostics* diagnostics, ListenerDraft* listener);
// The `capabilities` of a listener, or of the whole file.
bool ReadCapabilities(TableReader* reader, std::vector<std::string>* lines);
// mechanisms.cc: the `mechanisms` of a listener or of [auth].
void ReadMechanisms(TableReader* reader, MechanismsDraft* draft);
// Reads `master_format`.
bool ReadMasterFormat(TableReader* reader, std::string* format);
// The keys of a backend or pool about what it is told of the client.
void ParseIntroduction(TableReader* reader, Diagnostics* diagnostics, UpstreamDraft* upstream);
// Reads a `health` table.
bool ParseHealth(const TomlNode& table, const std::string& file_name, Diagnostics* diagnostics,
                 HealthDraft* health);
// The keys of a pool about how it spreads its users.
void ParseBalance(TableReader* reader, Diagnostics* diagnostics, BalanceDraft* draft);
// The keys of a backend or pool about how much a backend takes.
void ParseLimits(TableReader* reader, UpstreamDraft* upstream);
// Completes the pool, whose backends are known.
void ResolveBalance(const BalanceDraft& draft, const Draft& whole, routing::PoolOptions* options,
                    Diagnostics* diagnostics);
// The `in_use` table of a pool.
void ParseInUse(TableReader* reader, Diagnostics* diagnostics,
                Setting<routing::InUseRules>* setting);
// Compares it with the deadlines of sessions.
void ValidateInUse(const Setting<routing::InUseRules>& setting, const Timeouts& timeouts,
                   Diagnostics* diagnostics);
// Reads an `agent` table.
void ParseAgent(const TomlNode& table, Diagnostics* diagnostics, Agent* agent);
// Reads the [guard] table.
void ParseGuard(TableReader* top, Draft* draft, Diagnostics* diagnostics);
// policy.cc: its `policy` table. `file_name` is that of the configuration.
void ParsePolicy(const TomlNode& table, const std::string& file_name, Diagnostics* diagnostics,
                 Policy* policy);
// The key login_delay of [guard], a pool or a route.
bool ReadLoginDelay(TableReader* reader, DurationNs* delay);
// Completes the guard's options, and the CAPA line that follows from them; after
// ValidateUpstreams().
void ValidateGuard(Draft* draft);
// A list of networks; wrong ones are reported.
bool ReadNetworks(TableReader* reader, absl::string_view key, std::vector<IpNetwork>* out);
// Reads an `eject` table.
void ParseEject(const TomlNode& table, Diagnostics* diagnostics, PoolDraft* pool);
void ValidateEject(const PoolDraft& pool, Diagnostics* diagnostics);
// Compares the checks of one backend with how it is reached; `setting` is its own or its pool's.
void ValidateHealth(const Setting<HealthDraft>& setting, bool tls_used, bool master_used,
                    Backend* backend, Diagnostics* diagnostics);

// lookups.cc: the [[lookup]] tables, and what depends on them. Before routes are judged.
void ParseLookups(TableReader* reader, Draft* draft, Diagnostics* diagnostics);
// A route that names a lookup.
void ValidateLookupRoute(const RouteDraft& route, const Draft& draft, Diagnostics* diagnostics);
// Whether some lookup can judge APOP and CRAM-MD5, or passwords, instead of [auth] secrets.
bool LookupsJudgeDigests(const Draft& draft);
bool LookupsJudgePasswords(const Draft& draft);

// Compares the parts with each other and completes draft->config.
void Validate(Draft* draft, Diagnostics* diagnostics);
// The part of it about mechanisms and the backends that must take them, with which it completes the
// listeners; after ValidateListenerBackends().
void ValidateMechanisms(Draft* draft, Diagnostics* diagnostics);
// Whether a certificate is all that clients can show, which needs no secret of the user's. Before
// any validation of backends.
bool OnlyByCertificate(const Draft& draft);
// The part of it about clients' certificates.
void ValidateClientCertificates(ListenerDraft* listener, Diagnostics* diagnostics);
// The part of it about listeners that lead to a backend of their own; after ValidateUpstreams().
void ValidateListenerBackends(Draft* draft, Diagnostics* diagnostics);
// The part of it about neighbours in front of a listener.
void ValidateNeighbours(ListenerDraft* listener, Diagnostics* diagnostics);
// Completes the backend's part about what it is told of the client.
void ResolveIntroduction(const UpstreamDraft& own, const UpstreamDraft& pool, Backend* backend,
                         Diagnostics* diagnostics);
// The part of it about backends, pools and routes.
void ValidateUpstreams(Draft* draft, Diagnostics* diagnostics);

// The path as the process must open it: relative ones start at the directory of `file_name`.
std::string ResolvePath(const std::string& file_name, const std::string& path);

// What is written at the backend itself, or else at its pool.
template <typename T>
const Setting<T>& Effective(const Setting<T>& own, const Setting<T>& inherited) {
  return own.written || !inherited.written ? own : inherited;
}

// The keys that stand at the top of the file, outside of any table.
const std::vector<std::string>& TopLevelKeys();

// Reads `key` through the getter of `reader` that is called as read(&setting->value).
template <typename T, typename Read>
void ReadSetting(const TableReader& reader, absl::string_view key, Setting<T>* setting, Read read) {
  setting->written = reader.Has(key);
  setting->position = reader.At(key);
  setting->good = read(&setting->value);
}

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_DRAFT_H_
