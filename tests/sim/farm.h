// A whole mail farm in one simulated world: backends, the production Worker in front of them, and
// clients, described by plain data.
//
//   Farm farm(seed, spec);
//   std::vector<std::string> failures = farm.Run();
//
// Run() goes on until every client is gone and every session over, tells the worker to stop, waits
// for it and then checks the history (tests/sim/history.h) and the balance: no descriptor, buffer,
// block, frame or operation left, gauges at zero, one reason per session.
#ifndef POSTERN_TESTS_SIM_FARM_H_
#define POSTERN_TESTS_SIM_FARM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "metrics/registry.h"
#include "metrics/worker_stats.h"
#include "proxy/config/config.h"
#include "proxy/health_checker.h"
#include "proxy/outlier_watch.h"
#include "proxy/session_record.h"
#include "proxy/worker.h"
#include "routing/backend_state.h"
#include "tests/sim/history.h"
#include "tests/sim/scripted_client.h"
#include "tests/sim/scripted_server.h"
#include "tests/sim/sim_io.h"
#include "tests/tls/test_certificates.h"

namespace postern::sim {

// How a client proves who it is.
enum class LoginKind {
  kUserPass,          // waits for each answer
  kUserPassAtOnce,    // USER and PASS in one write
  kEverythingAtOnce,  // login and whole session in one write
  kAuthPlain,
  kAuthPlainTwoSteps,
  kAuthLogin,
  kApop,
  kDigestMd5,   // FarmSpec::apop only, whose secrets it needs
  kXoauth2,     // the exchange is carried; FarmSpec::sasl only
  kXclient,     // says by XCLIENT who it is; plain listener only
  kWrongFirst,  // a wrong password, then the right one
  // these must not get anywhere
  kNone,          // says nothing
  kQuit,          // leaves before the login
  kControlBytes,  // a NUL or TAB in the user's name
  kAlwaysWrong,   // three wrong passwords
  kRubbish,       // bad commands
  kEndlessLine,
  kHttp,
  kStlsInjection,  // USER behind STLS in one write
  // only where a PROXY header is wanted
  kProxyStranger,  // from outside of the networks
  kProxyRubbish,   // a header that is none
  kProxySilence,   // half a header
  kXclientLoop,    // by XCLIENT, the last proxy of a long row; plain listener only
};

// How it leaves.
enum class Farewell {
  kWait,       // until the other side ends
  kLeave,      // closes at once
  kHalfClose,  // ends its direction and waits
  kReset,
  kResetSometime,  // at a random moment of the session
};

struct ClientSpec {
  // 0: implicit TLS, 1: STLS, 2: plain; behind a PROXY header: 3: implicit TLS, 4: no TLS, with
  // credentials only where the header speaks of TLS.
  size_t listener = 0;
  bool secure = true;  // listener 1: does STLS
  std::string user;
  std::string password;
  bool password_right = true;
  bool known = true;
  LoginKind login = LoginKind::kUserPass;
  std::vector<std::string> commands;  // with their line ends; the last may be a cut QUIT
  bool waits = true;                  // for each answer
  Farewell farewell = Farewell::kWait;
  bool ends_tls = true;  // sends close_notify before it ends
  Peer::Pace pace;
  DurationNs starts_after = 0;
  DurationNs deaf_for = 0;      // stops reading for a while after the login
  DurationNs idle_for = 0;      // says nothing for a while before its last command
  DurationNs resets_after = 0;  // kResetSometime
};

// A time in which a backend takes no new connections, counted from the beginning of the world.
struct Outage {
  DurationNs from = 0;
  DurationNs until = 0;
  ConnectAnswer::Kind kind = ConnectAnswer::Kind::kRefuse;
};

// A time in which its connections are served otherwise.
struct BadSpell {
  DurationNs from = 0;
  DurationNs until = 0;
  ServerScript script;
};

struct BackendSpec {
  config::UpstreamTls tls = config::UpstreamTls::kOff;
  config::UpstreamMechanism mechanism = config::UpstreamMechanism::kUserPass;
  config::Pipelining pipelining = config::Pipelining::kAuto;
  bool master = false;
  config::UpstreamProxy proxy_protocol = config::UpstreamProxy::kOff;  // not with implicit TLS
  config::UpstreamXclient xclient = config::UpstreamXclient::kOff;     // not with a PROXY header
  bool unix_socket = false;
  bool absent = false;  // nobody listens at the address
  // Drawn anew for each connection.
  std::vector<ConnectAnswer> connects = {ConnectAnswer{}};
  std::vector<ServerScript> scripts = {ServerScript{}};
  std::vector<Outage> outages;
  std::vector<BadSpell> bad_spells;
  routing::LoadLimits limits;
};

struct FarmSpec {
  FaultPlan plan;
  std::vector<BackendSpec> backends = {BackendSpec{}};
  std::vector<ClientSpec> clients;
  config::Timeouts timeouts;
  bool failover = false;
  routing::QueueRules queue;
  routing::InUseRules in_use;
  routing::EjectRules eject;
  bool apop = false;
  // Every listener greets in a backend's words (greeting_relay.h): in those of the only one, or
  // each listener in those of one of its own. The backends take APOP.
  bool relay = false;
  bool sasl = false;  // XOAUTH2 is offered and carried to every backend; none has a master login
  size_t sessions_max = 100000;
  BulkOptions bulk;
  size_t messages = 3;
  size_t message_bytes = 2000;
  DurationNs drain_after = -1;  // SIGTERM in the middle; negative: none
  // Health checks of all backends, for so long from the beginning; they log in as kCanaryUser.
  config::Health health;
  DurationNs health_for = 60 * kSecond;
  // Outliers are looked for twice a second, for so long from the beginning; 0: never.
  DurationNs watched_for = 0;
  std::vector<DurationNs> reloads_after;  // before the end of the checks
  // Several clients are one user. The rules of history.h, which know users by their name, do not
  // apply; servers note the times of their sessions.
  bool shared_users = false;
  bool affinity = true;
};

inline constexpr const char* kCanaryUser = "canary@example.net";

class Farm : private SessionSink {
 public:
  Farm(uint64_t seed, FarmSpec spec);
  ~Farm() override;

  // One sentence per broken rule.
  std::vector<std::string> Run();

  // After Run().
  const History& history() const { return history_; }
  uint64_t bytes_moved() const { return io_.bytes_moved(); }
  const MaildropStore& store() const { return store_; }
  MaildropStore& store() { return store_; }
  SimIo& io() { return io_; }
  metrics::WorkerStats& stats() { return stats_; }
  std::shared_ptr<routing::BackendState> state(size_t backend);

 private:
  struct Client {
    ClientSpec spec;
    SocketAddress address;
    SocketAddress connects_from;  // another one where a neighbour speaks for it
    std::unique_ptr<ScriptedClient> peer;
    ClientStory story;
    bool reset_at_random = false;
  };
  struct Server {
    std::string name;
    bool wants_client = false;
    std::unique_ptr<ScriptedServer> peer;
    size_t backend = 0;
    DurationNs logged_in_at = -1;
    DurationNs ended_at = -1;
  };

  void OnSessionEnd(const SessionRecord& record) override;
  config::Config MakeConfig();
  // In a directory that goes with the farm; its path.
  std::string WriteFile(const std::string& name, const std::string& text) {
    if (directory_ == nullptr) directory_ = std::make_unique<tls::testing::TestDirectory>();
    return directory_->Write(name, text);
  }
  // relaying_farm.cc
  void RelayGreetings(config::Config* config) const;
  // guarded_farm.cc
  void PutGuard(uint64_t seed, Snapshot* snapshot);
  size_t PlacesTaken() const;
  void AddBackend(size_t index);
  ConnectAnswer AnswerConnect(size_t backend);
  void StartChecks(const std::shared_ptr<const WorkerSnapshot>& snapshot);
  // farm_watch.cc: what a backend does at this moment, and who looks for outliers.
  ServerScript DrawScript(size_t backend);
  void StartWatch(const std::shared_ptr<const Snapshot>& snapshot);
  void LookForOutliers();
  void AddClient(const ClientSpec& spec);
  void StartClient(Client* client);
  void WriteScript(Client* client);
  void WriteProxyHeader(Client* client);
  void WriteLogin(Client* client);
  // digest_farm.cc
  void WriteDigestLogin(Client* client);
  void WriteHopelessLogin(Client* client);
  void WriteSession(Client* client);
  void WriteFarewell(Client* client);
  void Turn();
  void NoteTimes();
  std::vector<std::string> Judge() {
    return spec_.shared_users ? std::vector<std::string>() : CheckHistory(history_);
  }
  bool WorldAtRest();
  void Tell();
  void CheckBalance();
  // farm_seats.cc: of backends, and of those who wait for one.
  void CheckSeats();
  void Fail(std::string what) { failures_.push_back(std::move(what)); }

  FarmSpec spec_;
  SimIo io_;
  MaildropStore store_;
  routing::BackendStates states_;
  std::shared_ptr<guard::Guard> guard_;  // null in every second farm
  metrics::Registry registry_;
  metrics::WorkerStats stats_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<HealthChecker> checker_;
  OutlierWatch watch_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Server> servers_;
  std::unique_ptr<tls::testing::TestDirectory> directory_;  // made when files are needed
  History history_;
  std::vector<std::string> failures_;
  size_t blocks_most_ = 0;
  TimeNs begin_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FARM_H_
