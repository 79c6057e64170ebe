#include "bench/load/generator.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "bench/load/client.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/io/make_io.h"
#include "routing/stable_hash.h"
#include "tls/context.h"

namespace postern::load {
namespace {

constexpr DurationNs kWaitMax = 100 * kMillisecond;
// After a failed session the place rests, so that a dead server is not hammered.
constexpr DurationNs kRest = 20 * kMillisecond;
// Open loop: sessions of one thread that wait for a place. Beyond it they are counted as dropped.
constexpr size_t kWaitingMax = 100000;

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

class Generator::Thread : public ClientOwner {
 public:
  Thread(Generator* generator, int index, uint32_t places)
      : generator_(generator),
        options_(generator->options_),
        index_(static_cast<uint64_t>(index)),
        places_(places) {}

  absl::Status Start() {
    std::promise<absl::Status> started;
    std::future<absl::Status> answer = started.get_future();
    thread_ = std::thread(&Thread::Run, this, &started);
    absl::Status status = answer.get();
    if (!status.ok()) thread_.join();
    return status;
  }

  void Join() {
    if (thread_.joinable()) thread_.join();
  }

  bool done() const { return done_.load(); }
  const Results& results() const { return results_; }

  void OnSessionOver(Client* client) override {
    --busy_;
    const uint64_t good = results_.good();
    Progress& progress = generator_->progress_;
    if (good > good_seen_) {
      good_seen_ = good;
      progress.good.fetch_add(1, std::memory_order_relaxed);
      free_.PushBack(client);
    } else {
      progress.failed.fetch_add(1, std::memory_order_relaxed);
      resting_.push_back({io_->Now() + kRest, client});
    }
  }

  void OnIdle() override { generator_->progress_.idle.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Resting {
    TimeNs until;
    Client* client;
  };

  void Run(std::promise<absl::Status>* started) {
    absl::Status status = SetUp();
    const bool running = status.ok();
    started->set_value(std::move(status));
    if (running) Loop();
    while (free_.PopFront() != nullptr) {
    }
    clients_.clear();
    context_.tls = nullptr;
    tls_.reset();
    io_.reset();
    CHECK(coro::FramePool::ThisThread().live() == 0);
    done_.store(true);
  }

  absl::Status SetUp() {
    ASSIGN_OR_RETURN(io::MadeIo made, io::MakeIo(options_.io, io::UringOptions()));
    io_ = std::move(made.io);
    if (!made.warning.empty()) log::Warning(made.warning);
    if (options_.tls != TargetTls::kOff) {
      ASSIGN_OR_RETURN(tls_, tls::ClientContext::Create(options_.tls_options, &library_));
    }
    context_.options = &options_;
    context_.io = io_.get();
    context_.blocks = &blocks_;
    context_.tls = tls_.get();
    context_.results = &results_;
    context_.owner = this;
    for (uint32_t i = 0; i < places_; ++i) {
      clients_.push_back(std::make_unique<Client>(&context_));
      free_.PushBack(clients_.back().get());
    }
    return absl::OkStatus();
  }

  void Loop() {
    began_ = next_arrival_ = MonotonicNow();
    const TimeNs last_start = began_ + options_.duration;
    // Whatever a server does, nobody waits for ever.
    const TimeNs give_up = last_start + options_.timeout + options_.hold + 5 * kSecond;
    for (;;) {
      const TimeNs now = MonotonicNow();
      if (now >= last_start || generator_->stopping_.load(std::memory_order_relaxed)) over_ = true;
      if (!aborted_ && (now >= give_up || generator_->aborting_.load(std::memory_order_relaxed))) {
        aborted_ = over_ = true;
        for (const std::unique_ptr<Client>& client : clients_) client->Cancel();
      }
      Wake(now);
      StartSessions(now);
      if (busy_ == 0 && over_) {
        results_.dropped += waiting_.size();
        return;
      }
      io_->RunOnce(WaitFor(now));
    }
  }

  DurationNs WaitFor(TimeNs now) const {
    DurationNs wait = kWaitMax;
    if (!resting_.empty()) wait = std::min(wait, resting_.front().until - now);
    if (options_.rate > 0 && !over_) wait = std::min(wait, next_arrival_ - now);
    return std::max<DurationNs>(wait, 0);
  }

  void Wake(TimeNs now) {
    while (!resting_.empty() && resting_.front().until <= now) {
      free_.PushBack(resting_.front().client);
      resting_.pop_front();
    }
  }

  void StartSessions(TimeNs now) {
    if (options_.rate > 0) Arrive(now);
    while (free_.front() != nullptr) {
      if (options_.rate > 0) {
        if (waiting_.empty() || aborted_) return;
        const TimeNs intended = waiting_.front();
        waiting_.pop_front();
        if (!StartOne(intended)) return;
      } else {
        if (over_ || !StartOne(now)) return;
      }
    }
  }

  // Puts every arrival whose time has come into the queue.
  void Arrive(TimeNs now) {
    const double rate = options_.rate / static_cast<double>(generator_->options_.threads);
    while (!over_ && next_arrival_ <= now) {
      if (waiting_.size() < kWaitingMax) {
        waiting_.push_back(next_arrival_);
      } else {
        ++results_.dropped;
      }
      double gap = 1 / rate;
      if (options_.arrivals == Arrivals::kPoisson) gap *= -std::log(NextUnit());
      next_arrival_ += std::max<DurationNs>(1, static_cast<DurationNs>(gap * kSecond));
    }
  }

  // Above 0, at most 1.
  double NextUnit() {
    const uint64_t random =
        routing::MixBits(options_.seed * 0x9e3779b97f4a7c15 + (index_ << 40) + ++draws_);
    return (static_cast<double>(random >> 11) + 1.0) * 0x1.0p-53;
  }

  // False: all sessions of the run have been started.
  bool StartOne(TimeNs intended) {
    const uint64_t number = generator_->next_session_.fetch_add(1, std::memory_order_relaxed);
    if (number >= options_.total) {
      over_ = true;
      waiting_.clear();
      return false;
    }
    const uint64_t population = std::max<uint64_t>(1, options_.users.population);
    const uint64_t user =
        routing::MixBits(options_.seed + number * 0x9e3779b97f4a7c15) % population;
    const SocketAddress* source =
        options_.sources.empty() ? nullptr : &options_.sources[number % options_.sources.size()];
    Client* client = free_.PopFront();
    ++busy_;
    generator_->progress_.started.fetch_add(1, std::memory_order_relaxed);
    client->Start(options_.users.Name(user), source, intended);
    return true;
  }

  Generator* generator_;
  const Options& options_;
  const uint64_t index_;
  const uint32_t places_;
  std::thread thread_;
  std::atomic<bool> done_{false};
  tls::Library library_;
  std::unique_ptr<tls::ClientContext> tls_;
  BlockPool blocks_;
  std::unique_ptr<io::Io> io_;
  ThreadContext context_;
  Results results_;
  std::vector<std::unique_ptr<Client>> clients_;
  IntrusiveList<Client> free_;
  std::deque<Resting> resting_;
  std::deque<TimeNs> waiting_;  // open loop: intended starts without a place yet
  size_t busy_ = 0;
  uint64_t good_seen_ = 0;
  uint64_t draws_ = 0;
  TimeNs began_ = 0;
  TimeNs next_arrival_ = 0;
  bool over_ = false;
  bool aborted_ = false;
};

Generator::Generator(Options options) : options_(std::move(options)) {}

Generator::~Generator() {
  Stop(/*now=*/true);
  for (const std::unique_ptr<Thread>& thread : threads_) thread->Join();
}

absl::Status Generator::Start() {
  RaiseDescriptorLimit();
  const auto threads = static_cast<uint32_t>(options_.threads);
  for (uint32_t i = 0; i < threads; ++i) {
    const uint32_t places = options_.sessions / threads + (i < options_.sessions % threads ? 1 : 0);
    auto thread = std::make_unique<Thread>(this, static_cast<int>(i), places);
    RETURN_IF_ERROR(thread->Start());
    threads_.push_back(std::move(thread));
  }
  return absl::OkStatus();
}

bool Generator::done() const {
  return std::all_of(threads_.begin(), threads_.end(),
                     [](const std::unique_ptr<Thread>& thread) { return thread->done(); });
}

void Generator::Stop(bool now) {
  stopping_.store(true);
  if (now) aborting_.store(true);
}

Results Generator::Finish() {
  Results results;
  for (const std::unique_ptr<Thread>& thread : threads_) {
    thread->Join();
    results.Merge(thread->results());
  }
  results.cpu_seconds = CpuSeconds();
  return results;
}

}  // namespace postern::load
