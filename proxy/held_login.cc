// What an operator has said of single users: where they go, and whether they have to wait.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/config/reachable.h"
#include "proxy/guard/guard.h"
#include "proxy/held_logins.h"
#include "proxy/session.h"

namespace postern {
namespace {

// When many logins of a user are released at once, some wait for the others' verdicts.
constexpr DurationNs kResumeEvery = 100 * kMillisecond;

}  // namespace

// Where an operator has moved the user, if that is so, whatever the routes and lookups say.
void Session::FollowOperator(const pop3::Credentials& credentials, routing::Decision* route) {
  const Snapshot& shared = *snapshot_->shared;
  const std::shared_ptr<routing::BackendState> home = shared.overrides->Where(user_);
  if (home == nullptr) return;
  *route = routing::Decision();
  route->known = true;
  route->moved = true;
  if (lookup_ != nullptr) lookup_->addresses = nullptr;
  const routing::BackendStateList& states = shared.backend_states;
  const auto place = std::find(states.begin(), states.end(), home);
  if (place == states.end()) {
    upstream_error_ = absl::StrCat(
        home->name(), ": the user was moved there, and it is not in the configuration");
    return;
  }
  const auto backend = static_cast<int>(place - states.begin());
  route->pool = config::FirstPoolOf(config(), backend);
  if (credentials.shows_digest() && JudgedByLookup() && lookup_->secret == nullptr &&
      config().backends[static_cast<size_t>(backend)].login != config::UpstreamLogin::kMaster) {
    upstream_error_ = absl::StrCat(
        home->name(), ": the user was moved there, and nobody has told the password it wants");
    return;
  }
  if (home->usable_alone(io_->Now())) {
    route->candidates[0] = backend;
    route->candidate_count = 1;
  } else {
    route->out = backend;
  }
}

coro::Task<bool> Session::WaitWhileHeld() {
  routing::Holds& holds = *snapshot_->shared->holds;
  if (!holds.EnterWait(config().limits.held_logins)) {
    upstream_error_ = "the user is on hold, and limits.held_logins wait already";
    End(CloseReason::kHeld);
    co_return false;
  }
  const HeldLogins::Place place(context_->held, this);
  const TimeNs until = io_->Now() + config().timeouts.hold;
  // Waiting is no guessing: it does not use up what the guard lets a user try at a time.
  guard::Guard* const guard = snapshot_->shared->guard.get();
  if (guard != nullptr) guard->PauseLogin(visit_.get());
  // The client is read meanwhile: one that goes makes room for another.
  bool listens = true;
  bool released = false;
  Outcome outcome = co_await client_.Flush();
  while (outcome == Outcome::kOk && reason_ == CloseReason::kNone &&
         expire_reason_ == CloseReason::kNone) {
    const bool held = holds.Covers(user_);
    released =
        !held && (guard == nullptr || guard->ResumeLogin(config().guard, io_->Now(), visit_.get()));
    // In this order: who is released in the last moment goes on.
    if (released || io_->Now() >= until) break;
    const TimeNs wake_at = held ? until : std::min(until, io_->Now() + kResumeEvery);
    outcome = co_await ListenUntil(wake_at, &listens);
  }
  holds.LeaveWait();
  if (outcome != Outcome::kOk) EndOnClient(outcome);
  if (reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone) co_return false;
  if (released) co_return true;
  upstream_error_ = "the user is on hold";
  End(CloseReason::kHeld);
  co_return false;
}

void HeldLogins::WakeReleased() {
  // Waking arms a timer, so nobody leaves the list meanwhile.
  for (Place* place = places_.front(); place != nullptr; place = places_.Next(place)) {
    Session* session = place->session();
    if (!session->OnHold()) session->EndPause();
  }
}

}  // namespace postern
