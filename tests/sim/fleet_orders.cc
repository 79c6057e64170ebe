// What operators order in a fleet: what OperatorDesk and Mover do.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "proxy/session_info.h"
#include "tests/sim/fleet_parts.h"

namespace postern::sim {
namespace {

constexpr DurationNs kKickEvery = kSecond;

}  // namespace

void Fleet::EachWorker(const std::function<void(Worker*)>& task) {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->Post([task, target = worker.get()] { task(target); });
  }
}

void Fleet::Give(const FleetOrder& order) {
  const std::shared_ptr<routing::BackendState> backend = state(order.backend);
  const TimeNs now = io_.Now();
  std::vector<FleetSpan>& drained = story_.backends[order.backend].drained_over;
  switch (order.kind) {
    case FleetOrder::Kind::kEnable:
    case FleetOrder::Kind::kDrain:
    case FleetOrder::Kind::kDrainOver:
    case FleetOrder::Kind::kDisable: {
      const auto service = order.kind == FleetOrder::Kind::kEnable    ? routing::Service::kEnabled
                           : order.kind == FleetOrder::Kind::kDisable ? routing::Service::kDisabled
                                                                      : routing::Service::kDraining;
      backend->SetService(service, "fleet", "", now);
      const DurationNs over = order.kind == FleetOrder::Kind::kDrainOver ? order.value : 0;
      if (!drained.empty() && drained.back().until > Now()) drained.back().until = Now();
      if (over > 0) drained.push_back({Now(), Now() + over});
      EachWorker([name = backend->name(), over](Worker* worker) {
        if (over > 0) {
          worker->spread().Begin(name, over, CloseReason::kDrained);
        } else {
          worker->spread().Stop(name, CloseReason::kDrained);
        }
      });
      return;
    }
    case FleetOrder::Kind::kWeight:
      return backend->SetWeight(static_cast<int>(order.value), "fleet", "", now);
    case FleetOrder::Kind::kHold: {
      routing::Hold hold;
      hold.target = order.user;
      if (!states_.holds()->Add(hold).ok()) Fail("a hold was refused");
      story_.holds.push_back({order.user, {Now(), kNever}});
      return;
    }
    case FleetOrder::Kind::kRelease:
      states_.holds()->Remove(routing::Hold::Kind::kUser, order.user);
      for (FleetHold& hold : story_.holds) {
        if (hold.user == order.user && hold.time.until == kNever) hold.time.until = Now();
      }
      return EachWorker([](Worker* worker) { worker->WakeHeld(); });
    case FleetOrder::Kind::kMove:
      return BeginMove(order);
    default:
      return Reload(order);
  }
}

void Fleet::BeginMove(const FleetOrder& order) {
  auto move = std::make_unique<Move>();
  move->user = order.user;
  move->to = order.backend;
  move->began = Now();
  move->deadline = Now() + order.value;
  states_.holds()->AddForMove(order.user);
  // It is kept until every worker has been seen.
  EachWorker([raw = move.get()](Worker*) { ++raw->workers_seen; });
  story_.moves.push_back({order.user, static_cast<int>(order.backend), {Now(), kNever}});
  moves_.push_back(std::move(move));
  io_.scheduler().After(order.value, [] {});
}

void Fleet::AdvanceMoves() {
  for (const std::unique_ptr<Move>& move : moves_) {
    if (move->workers_seen < workers_.size()) continue;
    const routing::Affinity::Whereabouts at = states_.affinity()->Look(move->user);
    const std::shared_ptr<routing::BackendState> to = state(move->to);
    if (at.live == 0 || (at.entered == 0 && at.backend == to)) {
      if (!states_.overrides()->Set(move->user, to).ok()) Fail("a move was refused");
      states_.holds()->RemoveForMove(move->user);
      EachWorker([](Worker* worker) { worker->WakeHeld(); });
      for (FleetMove& known : story_.moves) {
        if (known.user == move->user && known.time.until == kNever) known.time.until = Now();
      }
      move->over = true;
      continue;
    }
    if (Now() < std::max(move->deadline, move->next_kick)) continue;
    move->next_kick = Now() + kKickEvery;
    io_.scheduler().After(kKickEvery, [] {});
    SessionFilter filter;
    filter.users = std::make_shared<absl::flat_hash_set<std::string>>(
        absl::flat_hash_set<std::string>{move->user});
    filter.joined = true;
    EachWorker([filter](Worker* worker) {
      worker->Walk(
          [filter](Session* session) {
            if (session->phase() == Phase::kClosing || !session->Matches(filter)) return;
            session->Kick(CloseReason::kKicked);
          },
          [] {});
    });
  }
  moves_.erase(std::remove_if(moves_.begin(), moves_.end(),
                              [](const std::unique_ptr<Move>& move) { return move->over; }),
               moves_.end());
}

void Fleet::LookAtChecks() {
  for (const BackendWatch::Change& change : watch_.Look()) {
    EachWorker([change](Worker* worker) {
      if (change.end_over > 0) {
        worker->spread().Begin(change.backend, change.end_over, CloseReason::kBackendDown);
      } else {
        worker->spread().Stop(change.backend, CloseReason::kBackendDown);
      }
    });
  }
}

}  // namespace postern::sim
