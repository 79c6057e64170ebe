#include "proxy/health_thread.h"

#include <pthread.h>

#include <string>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/coro/frame_pool.h"
#include "tls/random.h"

namespace postern {
namespace {

// A few lines from each backend: far less than a worker needs.
constexpr uint32_t kReceiveBufferBytes = 4096;
constexpr uint32_t kReceiveBuffers = 16;

// An ejection ends by itself, without anybody being told.
constexpr DurationNs kLookEvery = kSecond / 2;

}  // namespace

absl::Status HealthThread::Start(io::IoKind io) {
  std::future<absl::Status> status = started_.get_future();
  thread_ = std::thread(&HealthThread::Run, this, io);
  const absl::Status result = status.get();
  if (!result.ok()) thread_.join();
  return result;
}

void HealthThread::Run(io::IoKind kind) {
  pthread_setname_np(pthread_self(), "health");
  io::UringOptions options;
  options.receive_buffer_bytes = kReceiveBufferBytes;
  options.receive_buffers = kReceiveBuffers;
  absl::StatusOr<io::MadeIo> made = io::MakeIo(kind, options);
  if (!made.ok()) {
    started_.set_value(made.status());
    return;
  }
  // A warning about it was given by the first worker.
  io_ = std::move(made->io);
  uint64_t seed = 0;
  tls::RandomBytes(&seed, sizeof(seed));
  checker_ = std::make_unique<HealthChecker>(io_.get(), seed);
  mailbox_ = std::make_unique<Mailbox>(io_.get());
  started_.set_value(absl::OkStatus());
  TimeNs next_look = 0;
  while (!stopping_ || !checker_->done()) {
    io_->RunOnce(kLookEvery);
    mailbox_->Run();
    checker_->Tidy();
    if (io_->Now() < next_look) continue;
    next_look = io_->Now() + kLookEvery;
    for (const std::string& sentence : pools_.Look(io_->Now())) log::Warning(sentence);
    outliers_.Look(io_->Now());
    for (const BackendWatch::Change& change : backends_.Look()) {
      if (on_change_) on_change_(change);
    }
  }
  CHECK(coro::FramePool::ThisThread().live() == 0);
}

void HealthThread::Configure(std::shared_ptr<const WorkerSnapshot> snapshot) {
  mailbox_->Post([this, next = std::move(snapshot)] {
    pools_.Configure(next->shared);
    backends_.Configure(next->shared);
    outliers_.Configure(next->shared);
    checker_->Configure(next);
  });
}

void HealthThread::Stop() {
  if (!thread_.joinable()) return;
  mailbox_->Post([this] {
    stopping_ = true;
    checker_->Stop();
  });
  thread_.join();
}

}  // namespace postern
