// Many backends and several workers in one simulated world, through hours of trouble: what farm.h
// is for one session's bytes, this is for the decisions about many sessions.
//
//   Fleet fleet(seed, spec);
//   std::vector<std::string> failures = fleet.Run();
//
// The production workers, health checker, watch and spread run on one SimIo and share what they
// share in production: states, seats, lines, affinity, holds, overrides. Orders do what Server,
// Mover and OperatorDesk do, between two turns. Clients and backends speak in the clear: TLS is the
// business of farm.h.
#ifndef POSTERN_TESTS_SIM_FLEET_H_
#define POSTERN_TESTS_SIM_FLEET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "metrics/registry.h"
#include "metrics/worker_stats.h"
#include "proxy/backend_watch.h"
#include "proxy/config/config.h"
#include "proxy/health_checker.h"
#include "proxy/session_record.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "routing/backend_state.h"
#include "tests/sim/fleet_story.h"
#include "tests/sim/maildrop_model.h"
#include "tests/sim/scripted_client.h"
#include "tests/sim/scripted_server.h"
#include "tests/sim/sim_io.h"

namespace postern::sim {

// A time in which a backend takes no connections. Times of outages of one backend do not meet.
struct FleetOutage {
  FleetSpan time;
  ConnectAnswer::Kind kind = ConnectAnswer::Kind::kRefuse;
  bool crash = false;  // its live connections are reset when it begins
};

struct FleetBackend {
  uint32_t weight = 100;
  bool backup = false;
  bool configured = true;  // by the first configuration
  routing::LoadLimits limits;
  std::vector<FleetOutage> outages;
  Peer::Pace pace;  // of its answers
};

// What an operator does.
struct FleetOrder {
  enum class Kind {
    kEnable,
    kDrain,
    kDrainOver,  // value: how long
    kDisable,
    kWeight,  // value: the weight, as BackendState::SetWeight
    // A reload of the configuration with one change.
    kAdd,
    kRemove,
    kReweight,  // value: the weight
    kLimit,     // value: sessions_max
    // Of users.
    kHold,
    kRelease,
    kMove,  // to the backend; value: patience
  };
  DurationNs at = 0;
  Kind kind = Kind::kEnable;
  size_t backend = 0;
  int64_t value = 0;
  std::string user;
};

struct FleetClient {
  std::string user;
  size_t worker = 0;
  DurationNs comes = 0;
  DurationNs stays = 0;     // between the login and QUIT
  int retrievals = 0;       // before that time
  bool quits = true;        // else it closes the connection
  DurationNs patience = 0;  // goes when it is not logged in by then; 0: waits
};

struct FleetSpec {
  FaultPlan plan;
  size_t workers = 2;
  std::vector<FleetBackend> backends;
  std::vector<FleetOrder> orders;
  std::vector<FleetClient> clients;
  routing::PoolOptions pool;  // but for its name and backends
  config::Health health;
  DurationNs lasts = 60 * kSecond;  // so long backends are checked
  size_t message_bytes = 200;
};

class Fleet : private SessionSink {
 public:
  Fleet(uint64_t seed, FleetSpec spec);
  ~Fleet() override;

  // One sentence per broken rule.
  std::vector<std::string> Run();

  // After Run().
  const FleetStory& story() const { return story_; }
  size_t sessions_most() const { return sessions_most_; }  // at backends, at the same time
  uint64_t trace_hash() const { return io_.trace_hash(); }
  uint64_t waited() const { return waited_; }  // samples in which a login stood in a line
  std::shared_ptr<routing::BackendState> state(size_t backend);
  // Called after each round.
  void set_on_round(std::function<void(Fleet&, DurationNs now)> look) { look_ = std::move(look); }

 private:
  class Client;
  class Server;
  struct Move;
  struct Seen;

  void OnSessionEnd(const SessionRecord& record) override;
  DurationNs Now() { return io_.scheduler().now() - begin_; }
  void Fail(std::string what) { failures_.push_back(std::move(what)); }

  // fleet_config.cc
  config::Config MakeConfig() const;
  void Apply();
  void Reload(const FleetOrder& order);
  std::vector<int> Homes() const;

  // fleet_orders.cc
  void Give(const FleetOrder& order);
  void BeginMove(const FleetOrder& order);
  void AdvanceMoves();
  void EachWorker(const std::function<void(Worker*)>& task);
  void LookAtChecks();

  void AddBackend(size_t index);
  bool Reachable(size_t index, ConnectAnswer::Kind* kind);
  void Crash(size_t index);
  void StartClient(size_t number);
  void Round();
  void Sample();
  bool AtRest() const;
  void Tell();
  void CheckBalance();

  FleetSpec spec_;
  SimIo io_;
  TimeNs begin_;
  MaildropStore store_;
  routing::BackendStates states_;
  metrics::Registry registry_;
  std::vector<std::unique_ptr<metrics::WorkerStats>> stats_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<HealthChecker> checker_;
  BackendWatch watch_;
  uint64_t generation_ = 0;
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<int> place_;  // of each backend in the configuration; -1: not there

  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<FleetOrder> due_;  // orders, to be carried out between two turns
  bool look_due_ = false;
  std::vector<std::unique_ptr<Move>> moves_;
  std::vector<Seen> seen_;
  FleetStory story_;
  size_t sessions_ = 0;  // at backends
  size_t sessions_most_ = 0;
  uint64_t waited_ = 0;
  std::function<void(Fleet&, DurationNs now)> look_;
  std::vector<std::string> failures_;
};

}  // namespace postern::sim

#endif  // POSTERN_TESTS_SIM_FLEET_H_
