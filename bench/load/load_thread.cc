#include "bench/load/load_thread.h"

#include <time.h>

#include <algorithm>
#include <string>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/base/status_macros.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/io/make_io.h"
#include "routing/stable_hash.h"

namespace postern::load {
namespace {

constexpr DurationNs kWaitMax = 100 * kMillisecond;
// After a failed session the place rests, so that a dead server is not hammered.
constexpr DurationNs kRest = 20 * kMillisecond;
// Open loop: sessions of one thread that wait for a place. Beyond it they are counted as dropped.
constexpr size_t kWaitingMax = 100000;
// Open loop: when we look at the clock this late, it is us who are slow.
constexpr DurationNs kBehind = 10 * kMillisecond;
constexpr DurationNs kPublishEvery = 500 * kMillisecond;

double ThreadCpuSeconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace

LoadThread::LoadThread(SharedRun* run, uint64_t index, uint32_t places)
    : run_(run), options_(run->options), index_(index), places_(places), next_number_(index) {
  if (options_.open_loop() && options_.script != ScriptName::kReplay) {
    clock_.emplace(&options_.rate, options_.arrivals, options_.seed, index_,
                   static_cast<uint64_t>(options_.threads));
  }
}

absl::Status LoadThread::Start() {
  std::promise<absl::Status> started;
  std::future<absl::Status> answer = started.get_future();
  thread_ = std::thread(&LoadThread::Run, this, &started);
  absl::Status status = answer.get();
  if (!status.ok()) thread_.join();
  return status;
}

void LoadThread::Join() {
  if (thread_.joinable()) thread_.join();
}

Histogram LoadThread::LiveSessions() const {
  const std::lock_guard<std::mutex> lock(live_mutex_);
  return live_sessions_;
}

void LoadThread::OnSessionOver(Client* client, Ending ending) {
  --busy_;
  if (ending == Ending::kGood) {
    run_->progress.good.fetch_add(1, std::memory_order_relaxed);
    free_.PushBack(client);
  } else {
    run_->progress.failed.fetch_add(1, std::memory_order_relaxed);
    resting_.push_back({io_->Now() + kRest, client});
  }
}

void LoadThread::OnIdle() { run_->progress.idle.fetch_add(1, std::memory_order_relaxed); }

void LoadThread::Run(std::promise<absl::Status>* started) {
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

absl::Status LoadThread::SetUp() {
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
  return absl::OkStatus();
}

void LoadThread::Loop() {
  const double cpu_before = ThreadCpuSeconds();
  began_ = published_at_ = MonotonicNow();
  const TimeNs last_start = began_ + options_.duration;
  // Whatever a server does, nobody waits for ever.
  const TimeNs give_up = last_start + options_.timeout + options_.pauses() + 5 * kSecond;
  for (;;) {
    const TimeNs now = MonotonicNow();
    if (options_.open_loop()) Arrive(std::min(now, last_start));
    if (now >= last_start) over_ = true;
    if (run_->stopping.load(std::memory_order_relaxed)) {
      over_ = true;
      DropWaiting();
    }
    if (!aborted_ && (now >= give_up || run_->aborting.load(std::memory_order_relaxed))) GiveUp();
    Wake(now);
    StartSessions(now);
    if (options_.open_loop() && waiting_.empty() && NextArrival() == kNever) over_ = true;
    if (busy_ == 0 && over_ && (waiting_.empty() || aborted_)) break;
    if (now - published_at_ >= kPublishEvery) Publish(now);
    io_->RunOnce(WaitFor(now));
  }
  DropWaiting();
  const double wall = static_cast<double>(MonotonicNow() - began_) / kSecond;
  if (wall > 0) results_.thread_busy_max = (ThreadCpuSeconds() - cpu_before) / wall;
}

void LoadThread::DropWaiting() {
  for (; !waiting_.empty(); waiting_.pop_front()) {
    if (run_->next_session.fetch_add(1, std::memory_order_relaxed) < options_.total) {
      ++results_.dropped;
    }
  }
}

void LoadThread::GiveUp() {
  aborted_ = over_ = true;
  for (const std::unique_ptr<Client>& client : clients_) client->Cancel();
}

void LoadThread::Publish(TimeNs now) {
  published_at_ = now;
  const std::lock_guard<std::mutex> lock(live_mutex_);
  live_sessions_ = results_.span(Span::kSession);
}

DurationNs LoadThread::WaitFor(TimeNs now) const {
  DurationNs wait = kWaitMax;
  if (!resting_.empty()) wait = std::min(wait, resting_.front().until - now);
  if (options_.open_loop() && !over_) wait = std::min(wait, NextArrival() - now);
  return std::max<DurationNs>(wait, 0);
}

void LoadThread::Wake(TimeNs now) {
  while (!resting_.empty() && resting_.front().until <= now) {
    free_.PushBack(resting_.front().client);
    resting_.pop_front();
  }
}

Client* LoadThread::TakePlace() {
  Client* place = free_.PopFront();
  if (place == nullptr && clients_.size() < places_) {
    clients_.push_back(std::make_unique<Client>(&context_));
    place = clients_.back().get();
  }
  return place;
}

void LoadThread::StartSessions(TimeNs now) {
  for (;;) {
    if (aborted_ || (options_.open_loop() ? waiting_.empty() : over_)) return;
    Client* place = TakePlace();
    if (place == nullptr) return;
    Arrival arrival{now, 0};
    if (options_.open_loop()) {
      arrival = waiting_.front();
      waiting_.pop_front();
    }
    if (!StartOne(place, arrival)) {
      free_.PushBack(place);
      return;
    }
  }
}

TimeNs LoadThread::NextArrival() const {
  if (clock_) return clock_->next() == kNever ? kNever : began_ + clock_->next();
  const std::vector<LoggedSession>& lines = options_.replay->sessions();
  if (next_number_ >= lines.size()) return kNever;
  return began_ +
         static_cast<DurationNs>(static_cast<double>(lines[next_number_].start) / options_.speed);
}

void LoadThread::Arrive(TimeNs now) {
  for (TimeNs next = NextArrival(); !over_ && next <= now; next = NextArrival()) {
    if (now - next > kBehind) ++results_.behind;
    if (waiting_.size() < kWaitingMax) {
      waiting_.push_back({next, next_number_});
      run_->progress.due.fetch_add(1, std::memory_order_relaxed);
    } else {
      ++results_.dropped;
    }
    if (clock_) clock_->Advance();
    next_number_ += static_cast<uint64_t>(options_.threads);
  }
}

bool LoadThread::StartOne(Client* place, const Arrival& arrival) {
  const uint64_t number = run_->next_session.fetch_add(1, std::memory_order_relaxed);
  if (number >= options_.total) {
    over_ = true;
    waiting_.clear();
    return false;
  }
  ++busy_;
  run_->progress.started.fetch_add(1, std::memory_order_relaxed);
  place->Start(PlanSession(options_.open_loop() ? arrival.number : number, arrival.intended));
  return true;
}

SessionPlan LoadThread::PlanSession(uint64_t number, TimeNs intended) const {
  SessionPlan plan;
  plan.intended = intended;
  plan.random = routing::MixBits(options_.seed + ~number);
  if (!options_.sources.empty()) {
    plan.source = &options_.sources[number % options_.sources.size()];
  }
  uint64_t user = 0;
  const bool replay = options_.script == ScriptName::kReplay;
  if (replay) {
    const LoggedSession& logged = options_.replay->sessions()[number];
    plan.own_script = ReplayScript(logged, options_.speed);
    plan.wrong = logged.result == LoggedSession::Result::kRefused;
    user = logged.user;
  } else {
    plan.script = &options_.steps;
    plan.wrong = run_->users.IsAmong(number, options_.wrong_percent);
    user = run_->users.Pick(number);
  }
  plan.password = options_.password;
  if (replay && !options_.map_users) {
    plan.user = options_.replay->users()[user];
  } else if (options_.user_file != nullptr) {
    user %= options_.user_file->size();
    plan.user = std::string(options_.user_file->Name(user));
    const absl::string_view password = options_.user_file->Password(user);
    if (!password.empty()) plan.password = password;
  } else {
    plan.user = options_.users.Name(user % std::max<uint64_t>(1, options_.users.population));
  }
  if (plan.wrong) plan.password = options_.wrong_password;
  return plan;
}

}  // namespace postern::load
