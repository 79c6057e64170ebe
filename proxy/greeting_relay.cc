#include "proxy/greeting_relay.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/config/reachable.h"
#include "proxy/pop3/relayed_greeting.h"
#include "proxy/session.h"

namespace postern {
namespace {

// Instead of a greeting. One of our own would hold no challenge, and make clients that wanted APOP
// show their password instead; and nobody could log in now anyway.
constexpr absl::string_view kNobodyToGreet =
    "-ERR [SYS/TEMP] The mail server cannot be reached, please try again later\r\n";

// A backend that just refused a connection gets this long before it is asked again.
constexpr DurationNs kRetryPause = 100 * kMillisecond;

}  // namespace

// Who has come in this way is at that backend; -1: the routes say.
int Session::OwnBackend() const {
  const config::Listener& at = listener();
  return config::OwnBackend(at, at.server_names.empty() ? "" : Identity().server_name);
}

routing::Decision Session::RouteUser() const {
  const Snapshot& shared = *snapshot_->shared;
  if (own_backend_ < 0) return shared.router->Route(user_, shared.backend_states, io_->Now());
  routing::Decision decision;
  decision.known = true;
  if (shared.backend_states[static_cast<size_t>(own_backend_)]->usable_alone(io_->Now())) {
    decision.candidates[0] = own_backend_;
    decision.candidate_count = 1;
  } else {
    decision.out = own_backend_;
  }
  return decision;
}

// Whether somebody may be greeted by it now, who then has a seat there. False: blocked_by_ says
// why.
bool Session::MayGreet(routing::Decision* route, size_t backend) {
  const routing::BackendState& state = *snapshot_->shared->backend_states[backend];
  // A pool that this backend is all of has nobody else to try in a panic.
  route->panic = !state.usable_alone(io_->Now()) && route->pool >= 0 && state.usable_in_panic();
  if (!route->panic && !state.usable_alone(io_->Now())) {
    NoteBackendOut(backend, metrics::UpstreamError::kOut, state.Why(io_->Now()));
    return false;
  }
  if (IsWaitedFor(backend)) {
    NoteBackendOut(backend, metrics::UpstreamError::kFull, "others wait for it");
    return false;
  }
  return MayTry(*route, backend, /*turn=*/false) && TakeSeat(backend);
}

// Who has been greeted has a seat already, and neither waits for one nor lacks room. True: the
// route leads to that backend.
bool Session::IsSeated(routing::Decision* route) const {
  if (greeted_ == nullptr || !route->known) return false;
  const auto backend = static_cast<int>(greeted_->backend);
  if (route->candidate_count == 0 && route->full && route->out == backend) {
    route->candidates[0] = backend;
    route->candidate_count = 1;
    route->full = false;
    route->out = -1;
  }
  return route->candidate_count > 0 && route->candidates[0] == backend;
}

// Opens the connection and takes a seat for it. False when that came to nothing.
coro::Task<bool> Session::OpenGreeted(size_t backend) {
  backend_ = static_cast<int>(backend);
  metrics::BackendStats& stats = backend_stats(backend);
  routing::Decision route;
  route.known = true;
  route.pool = own_backend_ >= 0 ? -1 : config::FirstPoolOf(config(), static_cast<int>(backend));
  route.candidates[0] = static_cast<int>(backend);
  route.candidate_count = 1;
  if (!MayGreet(&route, backend)) {
    stats.errors[static_cast<size_t>(blocked_by_)].Add();
    co_return false;
  }
  std::string greeting;
  UpstreamAttempt attempt = AttemptAt(backend);
  attempt.goal = UpstreamGoal::kSecured;
  attempt.greeting = &greeting;
  const AddressList addresses = snapshot_->shared->addresses->Get(backend);
  for (int i = 0; i < config().limits.upstream_tries; ++i) {
    if (addresses == nullptr || addresses->empty()) {
      stats.errors[static_cast<size_t>(metrics::UpstreamError::kResolve)].Add();
      upstream_error_ = absl::StrCat(attempt.backend->name, ": ", WhyNoAddress(addresses));
      break;
    }
    if (i > 0) {
      co_await Pause(kRetryPause);
    }
    if (reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone) break;
    attempt.address = (*addresses)[static_cast<size_t>(i) % addresses->size()];
    tests_ejected_ = snapshot_->shared->backend_states[backend]->ejected(io_->Now());
    UpstreamVerdict verdict = co_await LogInUpstream(&attempt);
    NoteOutcome(route, backend, verdict);
    // Given up while its last step was done: nobody would read from it.
    const bool open = verdict.kind == UpstreamVerdict::Kind::kAccepted && !upstream_.stopped();
    if (open) {
      greeted_ = std::make_unique<GreetedUpstream>();
      greeted_->backend = backend;
      greeted_->greeting = std::move(greeting);
      co_return true;
    }
    upstream_.Close(/*abortive=*/false);
    upstream_error_ = std::move(verdict.detail);
    if (!verdict.retry_same) break;
  }
  LeaveSeat(/*call_next=*/true);
  co_return false;
}

// Takes the place of a greeting of our own. False: the session is about to end.
coro::Task<bool> Session::RelayGreeting(size_t backend) {
  const bool open = co_await OpenGreeted(backend);
  if (reason_ != CloseReason::kNone) co_return false;
  // The deadline or a shutdown came in between: the dialogue says the last words, and no others.
  if (expire_reason_ != CloseReason::kNone) co_return true;
  if (!open) {
    client_.Queue(kNobodyToGreet);
    End(CloseReason::kUpstreamUnavailable);
    co_return false;
  }
  dialogue_->RelayGreeting(pop3::ReadRelayedGreeting(greeted_->greeting));
  client_.Queue(dialogue_->Greeting());
  co_return true;
}

void Session::LeaveGreeted() {
  if (greeted_ == nullptr) return;
  greeted_.reset();
  upstream_.Stop(/*abortive=*/false);
  upstream_.Close(/*abortive=*/false);
  LeaveSeat(/*call_next=*/true);
}

// A digest for a backend leads to the connection that it answers, or nowhere.
bool Session::CanShowDigest(const pop3::Credentials& credentials, const routing::Decision& route) {
  if (!credentials.for_backend) return true;
  if (greeted_ != nullptr && route.candidate_count > 0 &&
      route.candidates[0] == static_cast<int>(greeted_->backend)) {
    return true;
  }
  const bool elsewhere = greeted_ != nullptr && route.candidate_count > 0;
  upstream_error_ =
      elsewhere ? absl::StrCat(config().backends[static_cast<size_t>(route.candidates[0])].name,
                               ": the user is there, and the APOP digest answers the greeting of ",
                               config().backends[greeted_->backend].name)
                : std::string("the connection whose greeting the APOP digest answers is gone");
  may_pass_ = false;
  return false;
}

// The connection that greeted, if `attempt` is one for it; it then is the attempt's, and comes back
// by KeepGreeted(). Null: the channel is free for a fresh one.
std::unique_ptr<GreetedUpstream> Session::UseGreeted(UpstreamAttempt* attempt) {
  std::unique_ptr<GreetedUpstream> greeted = std::move(greeted_);
  if (greeted == nullptr) {
    attempt->opened_with.clear();
    attempt->stays = false;
    return nullptr;
  }
  CHECK(attempt->backend_index == greeted->backend);
  attempt->opened_with = greeted->greeting;
  // Who follows a referral needs the channel.
  attempt->stays = attempt->backend->referrals == 0;
  return greeted;
}

// After a refusal that the backend left the connection open with. Whether it may be used again.
bool Session::KeepGreeted(std::unique_ptr<GreetedUpstream> greeted, const UpstreamAttempt& attempt,
                          const UpstreamVerdict& verdict) {
  if (greeted == nullptr || !attempt.stays || upstream_.stopped() || !upstream_.input().empty() ||
      verdict.kind != UpstreamVerdict::Kind::kRefused || reason_ != CloseReason::kNone) {
    return false;
  }
  greeted_ = std::move(greeted);
  return true;
}

}  // namespace postern
