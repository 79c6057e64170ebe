#include "proxy/agent_prober.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

// The first questions of many agents are spread over a tenth of the interval, in so many steps.
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
      clock_(io) {}

void AgentProber::Start(Over over, void* owner) {
  over_ = over;
  owner_ = owner;
  const auto done = [](void* prober) {
    auto* self = static_cast<AgentProber*>(prober);
    self->over_(self, self->owner_);
  };
  coro::Detach(Run(), done, this);
}

bool AgentProber::Adopt(std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend) {
  const config::Agent& next = snapshot->shared->config.backends[backend].agent;
  if (clock_.stopped() || next.address != agent().address) return false;
  if (!clock_.waiting()) {
    // What the question in progress uses must stay.
    next_snapshot_ = std::move(snapshot);
    next_backend_ = backend;
    return true;
  }
  clock_.Hasten(next.interval);
  snapshot_ = std::move(snapshot);
  backend_ = backend;
  return true;
}

void AgentProber::Stop() {
  if (clock_.stopped()) return;
  channel_.Stop(/*abortive=*/false);
  clock_.Stop();
}

coro::Task<void> AgentProber::Run() {
  const std::string name = state_->name();
  // Soon, but not all of them in the same moment.
  clock_.SetNext(agent().interval / static_cast<DurationNs>(10 * kSpread) *
                 static_cast<DurationNs>(seed_ % kSpread));
  for (;;) {
    co_await clock_.WaitUntilDue();
    if (clock_.stopped()) co_return;
    std::string line;
    std::string why;
    const bool heard = co_await Ask(&line, &why);
    if (clock_.stopped()) co_return;
    if (next_snapshot_ != nullptr) {
      snapshot_ = std::move(next_snapshot_);
      backend_ = next_backend_;
    }
    clock_.SetNext(agent().interval);
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
