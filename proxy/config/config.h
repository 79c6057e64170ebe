// Everything the operator said, as one value. Leaves own their own Options; this only aggregates.
#ifndef POSTERN_PROXY_CONFIG_CONFIG_H_
#define POSTERN_PROXY_CONFIG_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/base/ip_network.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/config/lookup.h"
#include "proxy/config/policy.h"
#include "proxy/guard/options.h"
#include "proxy/pop3/common_capabilities.h"
#include "proxy/pop3/forward_fields.h"
#include "proxy/pop3/login_dialogue.h"
#include "routing/options.h"
#include "tls/options.h"

namespace postern::config {

enum class IoChoice { kAuto, kUring, kEpoll };
enum class ListenerTls { kImplicit, kStls, kOff };
enum class UpstreamTls { kOff, kImplicit, kStls };
// How to log in upstream: with the client's own password, or as a master user by SASL PLAIN with
// an authorization id. APOP users of a `password` pool are logged in with their stored secret.
// kSasl: like kPassword, and clients' own SASL exchanges are carried to the backend. kSecret: with
// the user's stored secret, once we have verified what the client showed, whatever that was.
enum class UpstreamLogin { kPassword, kMaster, kSasl, kSecret };
enum class UpstreamMechanism { kUserPass, kAuthPlain };
// The PROXY header in front of each connection to a backend.
enum class UpstreamProxy { kOff, kV1, kV2 };
// XCLIENT in front of each login. auto: where the greeting announces it; on: it must.
enum class UpstreamXclient { kOff, kAuto, kOn };
enum class Pipelining { kAuto, kOn, kOff };  // auto: what the backend's CAPA says

// Which name in a client's certificate is the user's.
enum class CertificateUser { kCommonName, kSubjectEmail, kAlternateEmail };

// A name that clients ask for in their TLS handshake (SNI), in small letters.
struct ServerName {
  std::string name;
  int backend = -1;  // index in Config::backends
};

struct Listener {
  std::string name;  // metric label; default: the address as written
  SocketAddress address;
  ListenerTls tls = ListenerTls::kImplicit;
  bool plaintext_logins = false;
  bool v6only = true;  // IPv6 addresses only
  int backlog = 4096;
  bool proxy_protocol = false;              // every connection begins with a PROXY header ...
  std::vector<IpNetwork> proxy_networks;    // ... and comes from one of these
  std::vector<IpNetwork> xclient_networks;  // clients that may use XCLIENT
  tls::ClientCertificate client_certificate = tls::ClientCertificate::kNone;
  std::string client_ca;  // unless kNone
  CertificateUser certificate_user = CertificateUser::kCommonName;
  std::optional<std::vector<std::string>> capabilities;  // of its CAPA; none: see OfferBook
  // SASL that its clients are offered, as far as the configuration decides it; none: that of
  // Config::dialogue. See MechanismsOf().
  std::optional<std::vector<pop3::Mechanism>> mechanisms;
  pop3::LoginDelay login_delay;  // that its clients may meet, by [guard], pools and routes
  // Index of the backend of all who come in here, whatever the routes say; -1: the routes say. Who
  // asks for one of `server_names` is at that one's.
  int backend = -1;
  std::vector<ServerName> server_names;
  bool relays_greeting = false;  // see greeting_relay.h; of those who have a backend by the above,
  int only_backend = -1;         // or of all, when the routes lead to this one only
  int line = 0;                  // where the configuration has it
};

// What an active health check does before it says QUIT. Each includes the ones before it.
enum class Probe {
  kNone,
  kTcp,       // connects
  kGreeting,  // reads +OK; TLS first where it is implicit
  kTls,       // STLS, too, where the backend wants it
  kCapa,      // asks CAPA and waits for the answer
  kLogin,     // logs a user of its own in and asks STAT
};
absl::string_view ProbeName(Probe probe);

struct Health {
  Probe probe = Probe::kNone;
  DurationNs interval = 2 * kSecond;
  DurationNs fast_interval = 500 * kMillisecond;  // while the verdict may be about to change
  DurationNs timeout = 5 * kSecond;               // of a whole check
  DurationNs jitter = 200 * kMillisecond;         // at most so much longer, at random
  int rise = 2;
  int fall = 3;
  DurationNs end_over = 0;    // found down: its sessions end over this time; 0: they may stay
  std::string user;           // kLogin
  std::string password_file;  // kLogin, unless a master user logs in; first line
};

// Asks a program beside the backend how it is.
struct Agent {
  SocketAddress address;  // empty: there is none
  DurationNs interval = 5 * kSecond;
  DurationNs timeout = 2 * kSecond;  // of a whole question
};

struct Backend {
  std::string name;
  HostPort address;
  UpstreamTls tls = UpstreamTls::kOff;
  tls::ClientOptions tls_options;
  UpstreamLogin login = UpstreamLogin::kPassword;
  UpstreamMechanism mechanism = UpstreamMechanism::kUserPass;
  Pipelining pipelining = Pipelining::kAuto;
  UpstreamProxy proxy_protocol = UpstreamProxy::kOff;
  UpstreamXclient xclient = UpstreamXclient::kOff;
  pop3::ForwardFields forward;  // as written, see FillForward()
  std::string master_user;      // with login = "master"
  // "{user}*{master}": the name to log in with instead of SASL PLAIN with an authorization id.
  std::string master_format;
  std::string master_password_file;  // first line of a file that others may not read
  int referrals = 0;                 // that are followed, one behind the other
  Health health;
  Agent agent;
  int line = 0;
};

struct Timeouts {
  DurationNs proxy_header = 3 * kSecond;  // the PROXY header, from the connection on
  DurationNs handshake = 15 * kSecond;    // TLS with the client
  DurationNs login = 60 * kSecond;        // accept to logged in, all attempts together
  DurationNs idle = 660 * kSecond;        // after login, no byte either way
  DurationNs upstream_connect = 3 * kSecond;
  DurationNs upstream_greeting = 5 * kSecond;  // TLS included
  DurationNs upstream_login = 30 * kSecond;
  DurationNs refused_delay = 3 * kSecond;  // from a refused login to its answer, at least
  DurationNs close_linger = 5 * kSecond;   // for the peer's end after ours
  DurationNs drain = 30 * kSecond;         // sessions after SIGTERM
  DurationNs resolve = 30 * kSecond;       // how often host names are looked up again
  DurationNs hold = 30 * kSecond;          // a login whose user is on hold; then [SYS/TEMP]
};

struct Limits {
  int sessions_max = 100000;            // all workers together; beyond it: -ERR [SYS/TEMP]
  int held_logins = 10000;              // that wait because their users are on hold
  int upstream_tries = 2;               // per candidate, for connect and greeting failures
  size_t receive_buffer_bytes = 16384;  // one shared receive buffer
  int receive_buffers = 256;            // per worker
};

enum class LogFormat { kLogfmt, kJson };

struct Log {
  std::string sessions = "-";  // a file, or "-" for stderr; "" for none
  LogFormat format = LogFormat::kLogfmt;
  std::string level = "info";  // debug | info | warning | error
};

struct Admin {
  std::string address = "127.0.0.1:9110";  // or "unix:/path"; "" for none
  std::string token_file;                  // allows changes over TCP to who knows what stands there
  std::string state_file;  // what operators have said, kept across restarts; "" for not at all
};

struct Auth {
  std::string secrets_file;  // user:secret per line; refused if others may read it
  // The whole line, with CRLF, for whom no route knows and for wrong APOP digests. It should read
  // like the backends' own refusal, so that nobody learns who exists.
  std::string refused_reply = "-ERR [AUTH] Authentication failed.\r\n";
};

struct Config {
  std::string file;
  std::string hostname;  // default: the machine's
  int workers = 0;       // 0: one per CPU
  IoChoice io = IoChoice::kAuto;
  std::vector<std::string> name_servers;  // "10.0.0.53:53"; empty: the machine's
  std::vector<Listener> listeners;
  tls::ServerOptions tls;
  pop3::DialogueOptions dialogue;     // per-listener bits are filled in by the server
  bool capabilities_written = false;  // dialogue.capabilities are the operator's
  Auth auth;
  Timeouts timeouts;
  Limits limits;
  guard::Options guard;
  Policy policy;                               // of [guard]
  std::vector<DurationNs> login_delays;        // by index in routing.pools
  std::vector<DurationNs> route_login_delays;  // by index in routing.routes; -1: as the pool's
  std::vector<Backend> backends;               // same order and indices as routing.backends
  routing::RouterOptions routing;
  std::vector<Lookup> lookups;  // same order and indices as routing.lookups
  Log log;
  Admin admin;
};

// All mistakes of a file at once: "file:line:column: what is wrong; how to mend it", one per line,
// in the order of the file.
absl::StatusOr<Config> ParseConfig(absl::string_view text, const std::string& file_name);
absl::StatusOr<Config> LoadConfig(const std::string& file);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_CONFIG_H_
