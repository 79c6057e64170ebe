// A whole session in the simulated world: the input is what the client and the backend say and when
// they leave. Whatever it is, the session ends, with one reason, and everything balances.
//
// Input: one byte of flags, then steps of one byte each, a step that says something followed by a
// length byte and that many bytes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "metrics/registry.h"
#include "metrics/worker_stats.h"
#include "proxy/base/check.h"
#include "proxy/config/config.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/snapshot_builder.h"
#include "proxy/worker.h"
#include "tests/sim/peer.h"
#include "tests/sim/sim_io.h"

namespace postern {
namespace {

constexpr char kConfig[] = R"(
hostname = "pop.example.net"
[[listener]]
address = "192.0.2.9:110"
tls = "off"
plaintext_logins = true
[[pool]]
name = "mail"
backends = [{ name = "mail1", address = "10.0.0.1:110" }]
[[route]]
users = "*"
pool = "mail"
[log]
level = "error"
)";

enum Step : uint8_t {
  kClientSays,
  kBackendSays,
  kClientHalfCloses,
  kClientCloses,
  kClientResets,
  kBackendCloses,
  kBackendResets,
  kTimePasses,
  kStepCount,
};

class World {
 public:
  explicit World(uint8_t flags)
      : io_(flags, Plan(flags)), worker_(&io_, &stats_, nullptr, WorkerOptions{}) {
    absl::StatusOr<config::Config> config = config::ParseConfig(kConfig, "fuzz.toml");
    CHECK(config.ok());
    auto shared = BuildSnapshot(*std::move(config), &registry_, 1);
    CHECK(shared.ok());
    stats_.Grow(registry_.listener_count(), registry_.backend_count());
    auto snapshot = BuildWorkerSnapshot(*std::move(shared), &library_, nullptr);
    CHECK(snapshot.ok());
    const SocketAddress listen = *SocketAddress::Parse("192.0.2.9:110");
    worker_.Configure(*std::move(snapshot),
                      {ListenerSocket{listen.ToString(), io_.Listen(listen)}});
    const bool greets = (flags & 1) != 0;
    io_.AddBackend(*SocketAddress::Parse("10.0.0.1:110"), nullptr,
                   [this, greets](sim::Endpoint* endpoint) {
                     backends_.push_back(std::make_unique<sim::Peer>(&io_, endpoint));
                     backends_.back()->Begin();
                     if (greets) backends_.back()->Say("+OK\r\n");
                   });
    client_ = std::make_unique<sim::Peer>(
        &io_, io_.ConnectTo(listen, *SocketAddress::Parse("192.0.2.1:4000")));
    client_->Begin();
    Turn();
  }

  void Take(Step step, absl::string_view text) {
    sim::Peer* backend = backends_.empty() ? nullptr : backends_.back().get();
    switch (step) {
      case kClientSays:
        client_->Say(text);
        break;
      case kClientHalfCloses:
        client_->HalfClose();
        break;
      case kClientCloses:
        client_->Close();
        break;
      case kClientResets:
        client_->Reset();
        break;
      case kBackendSays:
        if (backend != nullptr) backend->Say(text);
        break;
      case kBackendCloses:
        if (backend != nullptr) backend->Close();
        break;
      case kBackendResets:
        if (backend != nullptr) backend->Reset();
        break;
      case kTimePasses:
        io_.RunOnce(5 * kSecond);
        break;
      case kStepCount:
        break;
    }
    Turn();
  }

  void Finish() {
    worker_.Drain(30 * kSecond);
    for (int turn = 0; turn < 200000 && !worker_.done(); ++turn) worker_.RunTurn(kSecond);
    CHECK(worker_.done());
    for (auto& backend : backends_) backend->CloseNow();
    client_->CloseNow();
    CHECK(io_.violations().empty());
    CHECK(io_.open_descriptors() == 0 && io_.buffers_lent() == 0);
    CHECK(worker_.blocks().blocks_out() == 0);
    CHECK(coro::FramePool::ThisThread().live() == 0);
    const metrics::ListenerStats& listener = stats_.listener(0);
    uint64_t closed = 0;
    for (const metrics::Counter& counter : listener.closed) closed += counter.Get();
    CHECK(closed == listener.connections.Get() && listener.sessions_active.Get() == 0);
    CHECK(stats_.backend(0).sessions_active.Get() == 0);
  }

 private:
  static sim::FaultPlan Plan(uint8_t flags) {
    sim::Random random(flags);
    return (flags & 2) != 0 ? sim::FaultPlan::Unruly(random) : sim::FaultPlan::Kind();
  }
  void Turn() {
    for (int turn = 0; turn < 20; ++turn) worker_.RunTurn(kMillisecond);
  }

  sim::SimIo io_;
  metrics::Registry registry_;
  metrics::WorkerStats stats_;
  tls::Library library_;
  Worker worker_;
  std::vector<std::unique_ptr<sim::Peer>> backends_;
  std::unique_ptr<sim::Peer> client_;
};

}  // namespace
}  // namespace postern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 16384) return 0;
  postern::World world(data[0]);
  size_t i = 1;
  while (i < size) {
    const auto step = static_cast<postern::Step>(data[i++] % postern::kStepCount);
    absl::string_view text;
    const bool says = step == postern::kClientSays || step == postern::kBackendSays;
    if (says && i < size) {
      const size_t wanted = data[i++];
      const size_t length = std::min(wanted, size - i);
      text = absl::string_view(reinterpret_cast<const char*>(data) + i, length);
      i += length;
    }
    world.Take(step, text);
  }
  world.Finish();
  return 0;
}
