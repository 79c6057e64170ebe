// What an operator has said of single users: where they go, and whether they have to wait.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/held_logins.h"
#include "proxy/session.h"

namespace postern {
namespace {

// The first pool that has the backend: it says what happens when logins fail there.
int PoolOf(const config::Config& config, int backend) {
  const std::vector<routing::PoolOptions>& pools = config.routing.pools;
  for (size_t i = 0; i < pools.size(); ++i) {
    const std::vector<int>& members = pools[i].backends;
    if (std::find(members.begin(), members.end(), backend) != members.end()) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

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
  route->pool = PoolOf(config(), backend);
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
  while (reason_ == CloseReason::kNone && expire_reason_ == CloseReason::kNone &&
         io_->Now() < until && holds.Covers(user_)) {
    co_await Pause(until - io_->Now());
  }
  holds.LeaveWait();
  if (reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone) co_return false;
  if (!holds.Covers(user_)) co_return true;
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
