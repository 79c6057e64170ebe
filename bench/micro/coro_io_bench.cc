// What one step costs: resuming a coroutine, a trip through the ring, arming a deadline.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/io/uring_io.h"

namespace postern {
namespace {

// --- coroutines ---------------------------------------------------------------------------------

coro::Task<void> WaitUntil(coro::Wake* wake, const bool* stop) {
  while (!*stop) co_await wake->Wait();
}

// One resume of a flat coroutine.
void BM_CoroutineStep(benchmark::State& state) {
  coro::Wake wake;
  bool stop = false;
  coro::Detach(WaitUntil(&wake, &stop));
  for (auto _ : state) wake.Fire();
  stop = true;
  wake.Fire();
}
BENCHMARK(BM_CoroutineStep);

[[gnu::noinline]] coro::Task<int> Child(coro::Wake* wake) {
  co_await wake->Wait();
  co_return 1;
}

coro::Task<void> CallChildren(coro::Wake* wake, const bool* stop, int* sum) {
  while (!*stop) {
    const int one = co_await Child(wake);
    *sum += one;
  }
}

// A child task per step: one frame from the pool, two switches.
void BM_CoroutineChild(benchmark::State& state) {
  coro::Wake wake;
  bool stop = false;
  int sum = 0;
  coro::Detach(CallChildren(&wake, &stop, &sum));
  for (auto _ : state) wake.Fire();
  stop = true;
  wake.Fire();
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(BM_CoroutineChild);

// --- the ring -----------------------------------------------------------------------------------

// One end of a socket pair that sends back what it receives.
struct Echo {
  Echo(io::UringIo* the_io, int the_fd)
      : io(the_io), fd(the_fd), recv(&Echo::Received, this), send(&Echo::Sent, this) {}
  static void Received(io::IoOp& op, void* owner) {
    auto* self = static_cast<Echo*>(owner);
    if (op.result() <= 0) return;
    ++self->trips;
    self->io->Send(self->fd, self->io->ReceivedBytes(op), &self->send);
  }
  static void Sent(io::IoOp& op, void* owner) {
    auto* self = static_cast<Echo*>(owner);
    self->io->ReturnBuffer(&self->recv);
    if (op.result() > 0) self->io->Recv(self->fd, &self->recv);
  }
  io::UringIo* io;
  int fd;
  io::IoOp recv;
  io::IoOp send;
  size_t trips = 0;
};

// 64 bytes to and fro over `pairs` socket pairs, both ends on this ring. An item is one receive
// and one send.
void BM_RingPingPong(benchmark::State& state) {
  auto made = io::UringIo::Create(io::UringOptions());
  if (!made.ok()) {
    state.SkipWithError("io_uring is not available here");
    return;
  }
  io::UringIo* const uring = made->get();
  std::vector<std::unique_ptr<Echo>> ends;
  for (int64_t i = 0; i < state.range(0); ++i) {
    std::array<int, 2> fds{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()) != 0) {
      state.SkipWithError("socketpair failed");
      return;
    }
    for (const int fd : fds) {
      ends.push_back(std::make_unique<Echo>(uring, fd));
      uring->Recv(fd, &ends.back()->recv);
    }
    const std::array<char, 64> message{};
    benchmark::DoNotOptimize(write(fds[0], message.data(), message.size()));
  }
  for (auto _ : state) uring->RunOnce(kSecond);
  size_t trips = 0;
  for (auto& end : ends) trips += end->trips;
  state.SetItemsProcessed(static_cast<int64_t>(trips));
  for (auto& end : ends) uring->Shutdown(end->fd, SHUT_RDWR);
  while (uring->ops_in_flight() > 0) uring->RunOnce(kSecond);
  for (auto& end : ends) {
    uring->ReturnBuffer(&end->recv);
    uring->Close(end->fd);
  }
}
BENCHMARK(BM_RingPingPong)->Arg(1)->Arg(64);

// --- deadlines ----------------------------------------------------------------------------------

void Ignore(io::Timer&, void*) {}

// Moving a deadline, among `timers` armed ones.
void BM_TimerRearm(benchmark::State& state) {
  io::TimerWheel wheel;
  TimeNs now = 1000 * kSecond;
  wheel.Advance(now);
  std::vector<std::unique_ptr<io::Timer>> timers;
  for (int64_t i = 0; i < state.range(0); ++i) {
    timers.push_back(std::make_unique<io::Timer>(&Ignore, nullptr));
    wheel.Arm(timers.back().get(), now + i * kMillisecond);
  }
  size_t next = 0;
  for (auto _ : state) {
    wheel.Arm(timers[next].get(), now + kSecond + static_cast<DurationNs>(next) * kMillisecond);
    next = next + 1 == timers.size() ? 0 : next + 1;
  }
  for (auto& timer : timers) wheel.Disarm(timer.get());
}
BENCHMARK(BM_TimerRearm)->Arg(1)->Arg(10'000);

void BM_TimerArmDisarm(benchmark::State& state) {
  io::TimerWheel wheel;
  wheel.Advance(1000 * kSecond);
  io::Timer timer(&Ignore, nullptr);
  for (auto _ : state) {
    wheel.Arm(&timer, 1001 * kSecond);
    wheel.Disarm(&timer);
  }
}
BENCHMARK(BM_TimerArmDisarm);

// A turn of an idle worker: nothing due, nothing armed nearby.
void BM_TimerIdleTurn(benchmark::State& state) {
  io::TimerWheel wheel;
  TimeNs now = 1000 * kSecond;
  wheel.Advance(now);
  io::Timer timer(&Ignore, nullptr);
  for (auto _ : state) {
    now += io::TimerWheel::kTick;
    if (!timer.armed()) wheel.Arm(&timer, now + 60 * kSecond);
    benchmark::DoNotOptimize(wheel.NextDeadline());
    wheel.Advance(now);
  }
  wheel.Disarm(&timer);
}
BENCHMARK(BM_TimerIdleTurn);

}  // namespace
}  // namespace postern
