#include "proxy/health_prober.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/escape.h"
#include "proxy/master_login.h"
#include "proxy/pop3/reply.h"
#include "routing/stable_hash.h"

namespace postern {
namespace {

// For the answer to QUIT. A backend that does not care to answer it is not sick.
constexpr DurationNs kQuitPatience = kSecond;

UpstreamGoal GoalOf(config::Probe probe) {
  switch (probe) {
    case config::Probe::kNone:
    case config::Probe::kTcp:
      return UpstreamGoal::kConnected;
    case config::Probe::kGreeting:
      return UpstreamGoal::kGreeted;
    case config::Probe::kTls:
      return UpstreamGoal::kSecured;
    case config::Probe::kCapa:
      return UpstreamGoal::kCapabilities;
    case config::Probe::kLogin:
      break;
  }
  return UpstreamGoal::kLoggedIn;
}

// A refusal that says that the user was let in, and only the maildrop was busy or asked too often
// (RFC 2449 section 8.1). Another proxy may be checking with the same user at this moment.
bool IsBusy(absl::string_view reply) {
  return absl::StartsWithIgnoreCase(reply, "-ERR [IN-USE]") ||
         absl::StartsWithIgnoreCase(reply, "-ERR [LOGIN-DELAY]");
}

// Whether a failure of this kind means that somebody is there.
bool IsAnswer(metrics::UpstreamError error) {
  switch (error) {
    case metrics::UpstreamError::kRefused:
    case metrics::UpstreamError::kUnreachable:
    case metrics::UpstreamError::kConnectTimeout:
    case metrics::UpstreamError::kResolve:
    case metrics::UpstreamError::kGreetingTimeout:
    case metrics::UpstreamError::kClosed:
      return false;
    default:
      return true;
  }
}

// What a verdict is about.
std::string What(const config::Backend& backend) {
  return absl::StrCat(config::ProbeName(backend.health.probe), " ", static_cast<int>(backend.tls),
                      " ", backend.address.unix_path, " ", backend.address.host, ":",
                      backend.address.port);
}

}  // namespace

HealthProber::HealthProber(io::Io* io, BlockPool* blocks,
                           std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend,
                           uint64_t seed)
    : io_(io),
      state_(snapshot->shared->backend_states[backend]),
      random_(seed),
      channel_(io, blocks),
      clock_(io) {
  Use(std::move(snapshot), backend);
  state_->BeginChecks(What(target()));
}

void HealthProber::Use(std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend) {
  snapshot_ = std::move(snapshot);
  backend_ = backend;
  // One deadline for the whole check instead of one for each step.
  const DurationNs timeout = target().health.timeout;
  timeouts_.upstream_connect = timeouts_.upstream_greeting = timeouts_.upstream_login = timeout;
}

bool HealthProber::Adopt(std::shared_ptr<const WorkerSnapshot> snapshot, size_t backend) {
  const config::Backend& next = snapshot->shared->config.backends[backend];
  if (clock_.stopped() || What(next) != What(target())) return false;
  if (!clock_.waiting()) {
    // What the check in progress uses must stay.
    next_snapshot_ = std::move(snapshot);
    next_backend_ = backend;
    return true;
  }
  const config::Health& health = next.health;
  clock_.Hasten(health.interval + UpTo(health.jitter));
  Use(std::move(snapshot), backend);
  return true;
}

void HealthProber::Start(Over over, void* owner) {
  over_ = over;
  owner_ = owner;
  const auto done = [](void* prober) {
    auto* self = static_cast<HealthProber*>(prober);
    self->over_(self, self->owner_);
  };
  coro::Detach(Run(), done, this);
}

void HealthProber::Stop() {
  if (clock_.stopped()) return;
  channel_.Stop(/*abortive=*/false);
  clock_.Stop();
}

DurationNs HealthProber::UpTo(DurationNs most) {
  random_ += 0x9e3779b97f4a7c15ULL;
  return static_cast<DurationNs>(routing::MixBits(random_) % (static_cast<uint64_t>(most) + 1));
}

coro::Task<void> HealthProber::Run() {
  // At once, but a thousand backends not in the same moment.
  clock_.SetNext(UpTo(target().health.jitter));
  for (;;) {
    co_await clock_.WaitUntilDue();
    if (clock_.stopped()) co_return;
    if (state_->service() == routing::Service::kDisabled) {
      clock_.SetNext(target().health.interval + UpTo(target().health.jitter));
      continue;
    }
    const routing::CheckResult result = co_await Check();
    if (clock_.stopped()) co_return;
    if (next_snapshot_ != nullptr) Use(std::move(next_snapshot_), next_backend_);
    const config::Health& health = target().health;
    clock_.SetNext(health.interval + UpTo(health.jitter));
    if (!result.known) continue;
    const routing::CheckRules rules{health.rise, health.fall};
    const bool soon = state_->OnCheck(result, rules, io_->Now());
    if (soon) clock_.SetNext(health.fast_interval + UpTo(health.jitter));
  }
}

coro::Task<routing::CheckResult> HealthProber::Check() {
  routing::CheckResult result;
  deadline_ = io_->Now() + target().health.timeout;
  const AddressList addresses = snapshot_->shared->addresses->Get(backend_);
  if (addresses == nullptr || addresses->empty()) {
    result.reachable = false;
    result.reason = std::string(WhyNoAddress(addresses));
    co_return result;
  }
  // As a login would: the next address of the name when the first does not work.
  const size_t tries = std::min(
      addresses->size(), static_cast<size_t>(snapshot_->shared->config.limits.upstream_tries));
  for (size_t i = 0; i < tries; ++i) {
    const SocketAddress address = (*addresses)[i];
    result.good = co_await TryAddress(address, &result);
    if (result.good || clock_.stopped() || io_->Now() >= deadline_) break;
  }
  co_return result;
}

coro::Task<bool> HealthProber::TryAddress(SocketAddress address, routing::CheckResult* result) {
  const config::Backend& backend = target();
  UpstreamAttempt attempt(&channel_, &backend, &timeouts_, snapshot_->client_tls[backend_].get(),
                          &stats_, &memory_);
  attempt.address = address;
  attempt.deadline = deadline_;
  attempt.goal = GoalOf(backend.health.probe);
  attempt.user = backend.health.user;
  attempt.password = snapshot_->shared->canary_passwords[backend_].view();
  if (backend.login == config::UpstreamLogin::kMaster &&
      !LogInAsMaster(backend.health.user, snapshot_->shared->master_passwords[backend_].view(),
                     &attempt)) {
    result->reason = "the user's name cannot be written in the master_format";
    co_return false;
  }
  attempt.offers = snapshot_->shared->offers.get();
  attempt.backend_index = backend_;
  UpstreamVerdict verdict = co_await LogInUpstream(&attempt);
  bool good = verdict.kind == UpstreamVerdict::Kind::kAccepted;
  if (verdict.kind == UpstreamVerdict::Kind::kRefused) good = IsBusy(verdict.reply);
  result->reachable = IsAnswer(verdict.error) || verdict.kind == UpstreamVerdict::Kind::kRefused;
  result->known = good || verdict.error != metrics::UpstreamError::kLocal ||
                  verdict.kind == UpstreamVerdict::Kind::kRefused;
  if (!good) {
    // The name stands in front of every detail; the log says it anyway.
    const size_t name = backend.name.size() + 2;
    result->reason = verdict.detail.size() > name ? verdict.detail.substr(name) : verdict.detail;
  }
  if (verdict.kind == UpstreamVerdict::Kind::kAccepted) {
    channel_.SetDeadline(deadline_);
    if (attempt.goal == UpstreamGoal::kLoggedIn) {
      good = co_await AskForMail(result);
    }
    if (good && attempt.goal != UpstreamGoal::kConnected) {
      co_await SayQuit();
    }
    channel_.Stop(/*abortive=*/false);
  }
  channel_.Close(/*abortive=*/false);
  co_return good;
}

coro::Task<bool> HealthProber::AskForMail(routing::CheckResult* result) {
  channel_.Queue("STAT\r\n");
  std::string line;
  Outcome sent = co_await channel_.Flush();
  bool heard = false;
  if (sent == Outcome::kOk) {
    heard = co_await ReadLine(&line);
  }
  if (heard && pop3::ParseStatusLine(line).status == pop3::Status::kOk) co_return true;
  result->reason =
      heard ? absl::StrCat("STAT: \"", EscapeForLog(line, 80), "\"") : "no answer to STAT";
  co_return false;
}

coro::Task<void> HealthProber::SayQuit() {
  channel_.SetDeadline(std::min(deadline_, io_->Now() + kQuitPatience));
  channel_.Queue("QUIT\r\n");
  Outcome sent = co_await channel_.Flush();
  if (sent != Outcome::kOk) co_return;
  std::string line;
  co_await ReadLine(&line);
}

coro::Task<bool> HealthProber::ReadLine(std::string* line) {
  for (;;) {
    absl::string_view text;
    size_t consumed = 0;
    if (pop3::TakeLine(channel_.input(), &text, &consumed)) {
      *line = std::string(text);
      channel_.ConsumeInput(consumed);
      co_return true;
    }
    if (channel_.input().size() > pop3::kResponseBytesMax) co_return false;
    const Outcome outcome = co_await channel_.ReadMore();
    if (outcome != Outcome::kOk) co_return false;
  }
}

}  // namespace postern
