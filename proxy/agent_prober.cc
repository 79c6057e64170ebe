#include "proxy/agent_prober.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

// The first questions of many agents are spread over so much of the interval.
constexpr uint64_t kSpread = 1000;

std::string WhyNot(Outcome outcome, const Channel& channel) {
  if (outcome == Outcome::kTimeout) return "timeout";
  if (outcome == Outcome::kEnd) return "it ended the connection";
  return std::strerror(-channel.error());
}

}  // namespace

AgentProber::AgentProber(io::Io* io, BlockPool* blocks,
                         std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend,
                         uint64_t seed)
    : io_(io),
      snapshot_(std::move(snapshot)),
      backend_(backend),
      state_(snapshot_->shared->backend_states[backend]),
      seed_(seed),
      channel_(io, blocks),
      timer_(&AgentProber::OnTimer, this) {}

AgentProber::~AgentProber() { io_->timers().Disarm(&timer_); }

void AgentProber::Start(Over over, void* owner) {
  over_ = over;
  owner_ = owner;
  const auto done = [](void* prober) {
    auto* self = static_cast<AgentProber*>(prober);
    self->over_(self, self->owner_);
  };
  coro::Detach(Run(), done, this);
}

void AgentProber::Stop() {
  if (stopped_) return;
  stopped_ = true;
  channel_.Stop(/*abortive=*/false);
  if (timer_.armed()) io_->timers().Arm(&timer_, io_->Now());
}

coro::Task<void> AgentProber::WaitFor(DurationNs duration) {
  io_->timers().Arm(&timer_, io_->Now() + duration);
  co_await wake_.Wait();
}

void AgentProber::OnTimer(io::Timer&, void* owner) {
  static_cast<AgentProber*>(owner)->wake_.Fire();
}

coro::Task<void> AgentProber::Run() {
  const std::string name = state_->name();
  DurationNs pause = agent().interval / static_cast<DurationNs>(kSpread) *
                     static_cast<DurationNs>(seed_ % kSpread);
  // One that is new is asked soon.
  if (state_->Report(io_->Now()).agent.empty()) pause /= 10;
  for (;;) {
    co_await WaitFor(pause);
    if (stopped_) co_return;
    pause = agent().interval;
    std::string line;
    std::string why;
    const bool heard = co_await Ask(&line, &why);
    if (stopped_) co_return;
    const routing::AgentReport report = routing::ParseAgentLine(line);
    if (heard && report.empty()) {
      why = absl::StrCat("it said \"", EscapeForLog(line, 80), "\", which says nothing");
    }
    const bool silent = !heard || report.empty();
    if (silent && !silent_) {
      log::Warning(absl::StrCat("backend ", name, ": its agent at ", agent().address.ToString(),
                                " gives no answer: ", why, "; its last word stays"));
    }
    if (!silent && silent_) log::Info(absl::StrCat("backend ", name, ": its agent speaks again"));
    silent_ = silent;
    if (!silent) state_->OnAgent(report, io_->Now());
  }
}

coro::Task<bool> AgentProber::Ask(std::string* line, std::string* why) {
  const int fd = io_->OpenSocket(agent().address.family());
  if (fd < 0) {
    *why = absl::StrCat("socket: ", std::strerror(-fd));
    co_return false;
  }
  channel_.Attach(fd);
  channel_.SetDeadline(io_->Now() + agent().timeout);
  bool heard = false;
  const Outcome outcome = co_await channel_.Connect(&agent().address);
  if (outcome == Outcome::kOk) {
    heard = co_await Read(line, why);
  } else {
    *why = absl::StrCat("connect: ", WhyNot(outcome, channel_));
  }
  channel_.Stop(/*abortive=*/false);
  channel_.Close(/*abortive=*/false);
  co_return heard;
}

// A line ends with a line end, with the connection, or where it is too long.
coro::Task<bool> AgentProber::Read(std::string* line, std::string* why) {
  for (;;) {
    const Outcome outcome = co_await channel_.ReadMore();
    const absl::string_view input = channel_.input();
    const bool whole =
        input.find('\n') != absl::string_view::npos || input.size() >= routing::kAgentLineBytesMax;
    if (whole || (outcome == Outcome::kEnd && !input.empty())) {
      *line = std::string(input.substr(0, input.find_first_of("\r\n")));
      co_return true;
    }
    if (outcome != Outcome::kOk) {
      *why = WhyNot(outcome, channel_);
      co_return false;
    }
  }
}

}  // namespace postern
