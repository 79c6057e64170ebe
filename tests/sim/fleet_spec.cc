#include "tests/sim/fleet_spec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace postern::sim {
namespace {

constexpr routing::Balance kBalances[] = {routing::Balance::kRendezvous, routing::Balance::kMaglev,
                                          routing::Balance::kLeastSessions,
                                          routing::Balance::kRoundRobin};

class Drawing {
 public:
  Drawing(uint64_t seed, FleetSize size) : random_(seed ^ 0xF1EE7), size_(size) {}

  FleetSpec Draw() {
    spec_.plan.delay_max = random_.Pick<DurationNs>({100 * kMicrosecond, kMillisecond});
    spec_.workers = 1 + random_.Below(3);
    size_t backends = 2 + random_.Below(size_ == FleetSize::kTiny ? 4 : 11);
    size_t clients = 20 + random_.Below(60);
    spec_.lasts = 120 * kSecond;
    // Long enough that a backend which is slow crashes inside of it now and then.
    spec_.message_bytes = 1000;
    if (size_ == FleetSize::kLarge) {
      const bool wide = random_.Chance(0.5);
      backends = wide ? 50 + random_.Below(151) : 2 + random_.Below(30);
      spec_.lasts = wide ? 600 * kSecond : random_.Between(3600, 3 * 3600) * kSecond;
      clients = 600 + random_.Below(1200);
    }
    users_ = 1 + clients / (1 + random_.Below(4));
    DrawPool();
    DrawHealth(size_ == FleetSize::kLarge);
    for (size_t i = 0; i < backends; ++i) spec_.backends.push_back(DrawBackend(i));
    for (size_t i = random_.Below(backends / 4 + 3); i > 0; --i) {
      DrawOutages(&spec_.backends[random_.Below(backends)]);
    }
    for (size_t i = random_.Below(backends / 4 + 6); i > 0; --i) DrawOrders();
    for (size_t i = 0; i < clients; ++i) spec_.clients.push_back(DrawClient());
    return std::move(spec_);
  }

 private:
  void DrawPool() {
    routing::PoolOptions& pool = spec_.pool;
    pool.balance = kBalances[random_.Below(4)];
    // Both of the others need it.
    pool.failover = !routing::IsByUser(pool.balance) || random_.Chance(0.85);
    if (pool.failover && random_.Chance(0.4)) pool.slow_start = 20 * kSecond;
    if (pool.failover && routing::IsByUser(pool.balance) && random_.Chance(0.3)) {
      pool.load_bound_percent = static_cast<int>(random_.Between(110, 200));
    }
    if (random_.Chance(0.5)) pool.queue.wait = random_.Pick<DurationNs>({20, 40}) * kSecond;
    if (random_.Chance(0.5)) {
      pool.eject.failures = static_cast<int>(1 + random_.Below(4));
      pool.eject.time = random_.Between(kSecond, 10 * kSecond);
    }
  }

  void DrawHealth(bool large) {
    config::Health& health = spec_.health;
    health.probe = random_.Pick({config::Probe::kTcp, config::Probe::kGreeting});
    health.interval = (large ? 20 : random_.Between(2, 5)) * kSecond;
    health.fast_interval = (large ? 2 : 1) * kSecond;
    health.timeout = random_.Between(1, 2) * kSecond;
    health.rise = static_cast<int>(1 + random_.Below(3));
    health.fall = static_cast<int>(1 + random_.Below(3));
    if (random_.Chance(0.3)) health.end_over = random_.Pick<DurationNs>({1, 20}) * kSecond;
  }

  FleetBackend DrawBackend(size_t number) {
    FleetBackend backend;
    if (random_.Chance(0.3)) backend.weight = static_cast<uint32_t>(random_.Between(1, 300));
    backend.backup = number >= 2 && random_.Chance(0.1);
    backend.configured = number < 2 || random_.Chance(0.9);
    if (random_.Chance(0.2)) backend.limits.sessions_max = static_cast<int>(1 + random_.Below(10));
    if (random_.Chance(0.1)) backend.limits.logins_max = static_cast<int>(1 + random_.Below(3));
    if (random_.Chance(0.2)) {
      backend.pace.chunk_max = 100;
      backend.pace.chunk_delay = 100 * kMillisecond;
    }
    return backend;
  }

  // One long one, or flaps.
  void DrawOutages(FleetBackend* backend) {
    if (!backend->outages.empty()) return;
    DurationNs at = random_.Between(0, spec_.lasts / 2);
    const size_t count = random_.Chance(0.5) ? 1 : 2 + random_.Below(5);
    for (size_t i = 0; i < count && at < spec_.lasts; ++i) {
      FleetOutage outage;
      outage.time.from = at;
      outage.time.until =
          at + (count == 1 ? random_.Between(10, 60) : random_.Between(1, 6)) * kSecond;
      outage.kind = random_.Pick({ConnectAnswer::Kind::kRefuse, ConnectAnswer::Kind::kBlackhole,
                                  ConnectAnswer::Kind::kUnreachable});
      outage.crash = random_.Chance(0.5);
      at = outage.time.until + random_.Between(1, 15) * kSecond;
      backend->outages.push_back(outage);
    }
  }

  void DrawOrders() {
    using Kind = FleetOrder::Kind;
    FleetOrder order;
    order.at = random_.Between(0, spec_.lasts * 3 / 4);
    order.backend = random_.Below(spec_.backends.size());
    FleetOrder undo = order;
    undo.at += random_.Between(1, 40) * kSecond;
    undo.kind = Kind::kEnable;
    switch (random_.Below(9)) {
      case 0:
        order.kind = Kind::kDrain;
        break;
      case 1:
        order.kind = Kind::kDrainOver;
        order.value = random_.Pick<DurationNs>({kSecond, 15 * kSecond});
        break;
      case 2:
        order.kind = Kind::kDisable;
        break;
      case 3:
        order.kind = undo.kind = Kind::kWeight;
        order.value = random_.Between(0, 300);
        undo.value = routing::BackendWeight::kAsConfigured;
        break;
      case 4:
        order.kind = Kind::kRemove;
        undo.kind = Kind::kAdd;
        break;
      case 5:
        order.kind = undo.kind = Kind::kReweight;
        order.value = random_.Between(1, 300);
        undo.value = 100;
        break;
      case 6:
        order.kind = undo.kind = Kind::kLimit;
        order.value = random_.Between(1, 5);
        undo.value = 0;
        break;
      case 7:
        order.kind = Kind::kHold;
        undo.kind = Kind::kRelease;
        order.user = undo.user = DrawUser();
        break;
      default:
        order.kind = Kind::kMove;
        order.value = random_.Between(0, 20) * kSecond;
        order.user = DrawUser();
        for (const FleetOrder& other : spec_.orders) {
          if (other.kind == Kind::kMove && other.user == order.user) return;
        }
        spec_.orders.push_back(order);
        return;
    }
    spec_.orders.push_back(order);
    spec_.orders.push_back(undo);
  }

  std::string DrawUser() { return absl::StrCat("user", random_.Below(users_), "@example.net"); }

  FleetClient DrawClient() {
    FleetClient client;
    client.user = DrawUser();
    client.worker = random_.Below(spec_.workers);
    client.comes = random_.Between(0, spec_.lasts * 5 / 6);
    client.stays =
        random_.Between(0, random_.Pick<DurationNs>({kSecond, 20 * kSecond, 90 * kSecond}));
    client.retrievals = static_cast<int>(random_.Below(3));
    client.quits = random_.Chance(0.8);
    if (random_.Chance(0.1)) client.patience = random_.Between(1, 5000) * kMillisecond;
    return client;
  }

  Random random_;
  FleetSize size_;
  size_t users_ = 1;
  FleetSpec spec_;
};

}  // namespace

FleetSpec DrawFleet(uint64_t seed, FleetSize size) { return Drawing(seed, size).Draw(); }

FleetSpec CalmFleet(uint64_t seed, size_t backends, size_t users, routing::Balance balance) {
  Random random(seed ^ 0xCA17);
  FleetSpec spec;
  spec.pool.balance = balance;
  spec.pool.failover = true;
  spec.backends.resize(backends);
  const DurationNs apart = 10 * kMillisecond;
  for (size_t i = 0; i < users; ++i) {
    FleetClient client;
    client.user = absl::StrCat("user", seed, "-", i, "@example.net");
    client.worker = random.Below(spec.workers);
    client.comes = static_cast<DurationNs>(i) * apart;
    // All of them are there when the last one has come.
    client.stays = static_cast<DurationNs>(users - i) * apart + kSecond;
    spec.clients.push_back(client);
  }
  spec.lasts = static_cast<DurationNs>(users) * apart;
  return spec;
}

}  // namespace postern::sim
