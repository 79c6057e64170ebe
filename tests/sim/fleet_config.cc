// The configuration of a fleet, and its reloads: what Server::Apply() does.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/snapshot_builder.h"
#include "tests/sim/fleet_parts.h"
#include "tls/context.h"

namespace postern::sim {
namespace {

// Whose homes are looked at before and after a reload.
constexpr size_t kHomesSeen = 600;

tls::Library* SharedLibrary() {
  static tls::Library library;
  return &library;
}

bool IsReload(FleetOrder::Kind kind) {
  return kind >= FleetOrder::Kind::kAdd && kind <= FleetOrder::Kind::kLimit;
}

}  // namespace

SocketAddress FleetAddress(size_t backend) {
  return SocketAddress::Parse(absl::StrCat("10.0.", backend / 200, ".", backend % 200 + 1, ":110"))
      .value();
}

SocketAddress FleetListener(size_t worker) {
  return SocketAddress::Parse(absl::StrCat("198.51.100.1:", 1110 + worker)).value();
}

config::Config Fleet::MakeConfig() const {
  config::Config config;
  config.hostname = "proxy.example.net";
  for (size_t i = 0; i < spec_.workers; ++i) {
    config::Listener listener;
    listener.address = FleetListener(i);
    listener.name = listener.address.ToString();
    listener.tls = config::ListenerTls::kOff;
    listener.plaintext_logins = true;
    config.listeners.push_back(std::move(listener));
  }
  routing::PoolOptions pool = spec_.pool;
  pool.name = "mail";
  pool.backends.clear();
  for (size_t i = 0; i < spec_.backends.size(); ++i) {
    const FleetBackend& spec = spec_.backends[i];
    if (!spec.configured) continue;
    config::Backend backend;
    backend.name = absl::StrCat("mail", i);
    const SocketAddress address = FleetAddress(i);
    backend.address.host = address.IpText();
    backend.address.port = address.port();
    backend.tls = config::UpstreamTls::kOff;
    backend.health = spec_.health;
    pool.backends.push_back(static_cast<int>(config.backends.size()));
    config.backends.push_back(std::move(backend));
    config.routing.backends.push_back(
        {absl::StrCat("mail", i), spec.weight, spec.backup, spec.limits});
  }
  config.routing.pools = {pool};
  routing::RouteOptions route;
  route.users = "*";
  route.pool = "mail";
  config.routing.routes = {route};
  return config;
}

void Fleet::Apply() {
  const bool first = snapshot_ == nullptr;
  std::shared_ptr<Snapshot> snapshot =
      BuildSnapshot(MakeConfig(), &registry_, ++generation_, &states_).value();
  place_.assign(spec_.backends.size(), -1);
  int place = 0;
  for (size_t i = 0; i < spec_.backends.size(); ++i) {
    seen_[i].state = state(i);
    if (spec_.backends[i].configured) place_[i] = place++;
  }
  PutInUse(*snapshot);
  snapshot_ = snapshot;
  watch_.Configure(snapshot);
  if (checker_ != nullptr && Now() < spec_.lasts) {
    checker_->Configure(BuildHealthSnapshot(snapshot, SharedLibrary()).value());
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    stats_[i]->Grow(registry_.listener_count(), registry_.backend_count());
    std::vector<ListenerSocket> sockets;
    if (first) {
      const SocketAddress address = FleetListener(i);
      sockets.push_back({address.ToString(), io_.Listen(address)});
    }
    workers_[i]->Configure(BuildWorkerSnapshot(snapshot, SharedLibrary(), nullptr).value(),
                           std::move(sockets));
  }
}

// By the name alone: where the hash leads while all is well.
std::vector<int> Fleet::Homes() const {
  std::vector<int> number(snapshot_->config.backends.size());
  for (size_t i = 0; i < place_.size(); ++i) {
    if (place_[i] >= 0) number[static_cast<size_t>(place_[i])] = static_cast<int>(i);
  }
  std::vector<int> homes;
  for (size_t i = 0; i < kHomesSeen; ++i) {
    const routing::Decision decision =
        snapshot_->router->Route(absl::StrCat("resident", i, "@example.net"));
    homes.push_back(
        decision.candidate_count > 0 ? number[static_cast<size_t>(decision.candidates[0])] : -1);
  }
  return homes;
}

void Fleet::Reload(const FleetOrder& order) {
  CHECK(IsReload(order.kind));
  FleetBackend& backend = spec_.backends[order.backend];
  const auto primaries =
      std::count_if(spec_.backends.begin(), spec_.backends.end(), [](const FleetBackend& other) {
        return other.configured && !other.backup && other.weight > 0;
      });
  // Somebody must be left.
  if (order.kind == FleetOrder::Kind::kRemove && primaries < 2 && !backend.backup) return;
  const std::vector<int> before = Homes();
  FleetReload reload;
  reload.at = Now();
  switch (order.kind) {
    case FleetOrder::Kind::kAdd:
      backend.configured = true;
      reload.what = "a backend more";
      break;
    case FleetOrder::Kind::kRemove:
      backend.configured = false;
      reload.what = "a backend less";
      break;
    case FleetOrder::Kind::kReweight:
      backend.weight = static_cast<uint32_t>(order.value);
      reload.what = "another weight";
      break;
    default:
      backend.limits.sessions_max = static_cast<int>(order.value);
      reload.what = "another limit";
      break;
  }
  Apply();
  // For those who came before it is another world.
  seen_[order.backend].open.Note(false, Now(), &story_.backends[order.backend].open);
  if (!routing::IsByUser(spec_.pool.balance)) {
    story_.reloads.push_back(std::move(reload));
    return;
  }
  const std::vector<int> after = Homes();
  const auto number = static_cast<int>(order.backend);
  for (size_t i = 0; i < before.size(); ++i) {
    ++reload.users;
    reload.moved += before[i] != after[i] ? 1 : 0;
    reload.share += (before[i] == number) != (after[i] == number) ? 1 : 0;
  }
  story_.reloads.push_back(std::move(reload));
}

}  // namespace postern::sim
