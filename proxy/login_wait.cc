#include "proxy/login_wait.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/session.h"

namespace postern {
namespace {

// How often the first in line looks whether its backend is back.
constexpr DurationNs kLookEvery = 100 * kMillisecond;
// How long whoever has the turn keeps the place in front of the others to itself.
constexpr DurationNs kStepInAfter = kSecond;
// What a waiting client may send ahead; then it is no longer read, and its going is noticed late.
constexpr size_t kSentAheadMax = 4096;
// How often a backend that vanished after it got the password is asked once more.
constexpr int kAskAgainMax = 3;

}  // namespace

// --- seats ---------------------------------------------------------------------------------------

bool Session::MayTry(const routing::Decision& route, size_t backend, bool turn) {
  if (turn || route.pool < 0) return true;
  const routing::EjectRules& rules = config().routing.pools[static_cast<size_t>(route.pool)].eject;
  routing::BackendState& state = *snapshot_->shared->backend_states[backend];
  if (rules.failures == 0 || state.TakeTrial(io_->Now())) return true;
  may_pass_ = true;
  NoteBackendOut(backend, metrics::UpstreamError::kOut,
                 absl::StrCat("not asked: ", rules.failures,
                              " login attempts in a row or more have failed there, and now one a "
                              "second may try"));
  return false;
}

bool Session::TakeSeat(size_t backend) {
  const Snapshot& shared = *snapshot_->shared;
  routing::BackendState& state = *shared.backend_states[backend];
  if (!state.load().TryEnter(config().routing.backends[backend].limits)) {
    may_pass_ = true;
    NoteBackendOut(backend, metrics::UpstreamError::kFull,
                   absl::StrCat("full: ", state.load().seats(), " sessions, ",
                                state.load().logins(), " of them logging in"));
    return false;
  }
  seat_ = static_cast<int>(backend);
  seat_joined_ = false;
  return true;
}

void Session::SeatJoined() {
  if (seat_ < 0) return;
  const auto backend = static_cast<size_t>(seat_);
  snapshot_->shared->backend_states[backend]->load().OnJoined();
  seat_joined_ = true;
  if (config().routing.backends[backend].limits.logins_max > 0) CallForRoom(backend);
}

void Session::LeaveSeat(bool call_next) {
  if (seat_ < 0) return;
  const auto backend = static_cast<size_t>(std::exchange(seat_, -1));
  routing::BackendLoad& load = snapshot_->shared->backend_states[backend]->load();
  seat_joined_ ? load.LeaveSession() : load.LeaveLogin();
  if (call_next) CallForRoom(backend);
}

bool Session::IsWaitedFor(size_t backend) const {
  const Snapshot& shared = *snapshot_->shared;
  const uint64_t epoch = shared.generation;
  if (shared.backend_states[backend]->line().SizeSince(epoch) > 0) return true;
  const auto& queues = shared.queues_of_backend[backend];
  return std::any_of(queues.begin(), queues.end(),
                     [epoch](const auto& queue) { return queue->line.SizeSince(epoch) > 0; });
}

// There is room at `backend`: for somebody who can go nowhere else, or else for anybody, pool by
// pool in turn. At one that is out nobody has any use for it, and its sessions end at a speed that
// is not the line's.
void Session::CallForRoom(size_t backend) {
  const Snapshot& shared = *snapshot_->shared;
  const auto& queues = shared.queues_of_backend[backend];
  if (queues.empty()) return;
  routing::BackendState& state = *shared.backend_states[backend];
  if (!state.usable_for_live_users(io_->Now())) return;
  if (state.line().size() > 0) return state.line().CallForRoom(io_->Now());
  const size_t first = queues.size() > 1 ? state.NextQueue() : 0;
  for (size_t i = 0; i < queues.size(); ++i) {
    WaitLine& line = queues[(first + i) % queues.size()]->line;
    if (line.size() > 0) return line.CallForRoom(io_->Now());
  }
}

// --- waiting -------------------------------------------------------------------------------------

// Says where this login would wait, and changes `route` to what a login that has waited may do.
void Session::ChooseLine(routing::Decision* route, LoginWait* wait) const {
  const Snapshot& shared = *snapshot_->shared;
  wait->line = nullptr;
  wait->queue = nullptr;
  wait->bound_to = nullptr;
  if (!route->known || route->pool < 0) return;
  const auto pool = static_cast<size_t>(route->pool);
  wait->queue = shared.pool_queues[pool].get();
  if (wait->queue == nullptr) return;
  wait->rules = &config().routing.pools[pool].queue;
  int wanted = route->candidate_count > 0 ? route->candidates[0] : route->out;
  if (wanted < 0) return;  // no backend could be named, and waiting will not name one
  if (route->moved && wait->only >= 0 && wait->only != wanted) {
    // Another backend has seen the password, and an operator has moved the user meanwhile.
    wait->queue = nullptr;
    route->candidate_count = 0;
    route->out = wanted;
    return;
  }
  if (wait->only >= 0) wanted = wait->only;
  const auto backend = static_cast<size_t>(wanted);
  routing::BackendState& state = *shared.backend_states[backend];
  const TimeNs now = io_->Now();
  if (wait->only >= 0 || (wait->turn && route->candidate_count == 0 && !route->full)) {
    // Whoever has stood first may put an ejected backend to the test.
    const bool may_ask = state.usable(now) || (wait->turn && state.only_ejected(now));
    route->candidate_count = may_ask ? 1 : 0;
    route->candidates[0] = wanted;
    route->out = may_ask ? -1 : wanted;
  }
  const bool tied = wait->only >= 0 || (claim_ != nullptr && claim_->only >= 0) || route->moved;
  const bool anybody = config().routing.pools[pool].failover && !tied;
  wait->line = anybody ? &wait->queue->line : &state.line();
}

// Whether nobody is asked but the backend that has seen the password.
bool Session::KeepsTo(const LoginWait& wait, routing::Decision* route) const {
  if (wait.only < 0) return true;
  const SocketAddress server = ReachesUnnamedServer() ? (*lookup_->addresses)[0] : SocketAddress();
  if (route->candidates[0] != wait.only || !(server == wait.server)) return false;
  route->candidate_count = 1;
  return true;
}

// After an attempt that came to nothing: whether another one later may do better.
bool Session::MayWait(LoginWait* wait) {
  if (wait->queue == nullptr || wait->line == nullptr || !may_pass_) return false;
  if (reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone) return false;
  if (password_sent_) {
    // Nobody but the one who has seen the password may see it, and that one not for ever.
    if (asked_ < 0 || ++wait->asked_again > kAskAgainMax) return false;
    wait->only = asked_;
    wait->server = ReachesUnnamedServer() ? (*lookup_->addresses)[0] : SocketAddress();
    wait->line = &snapshot_->shared->backend_states[static_cast<size_t>(asked_)]->line();
    wait->bound_to = nullptr;
  }
  const TimeNs now = io_->Now();
  if (wait->queued != nullptr) return now < wait->until;
  const routing::QueueRules& rules = *wait->rules;
  const bool full = blocked_ >= 0 && blocked_by_ == metrics::UpstreamError::kFull;
  if (full && wait->line->ExpectedWait(snapshot_->shared->generation) > rules.wait) return false;
  if (wait->queue->waiting.fetch_add(1, std::memory_order_relaxed) >= rules.waiting_max) {
    wait->queue->waiting.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  wait->counted_in = wait->queue;
  wait->queued = std::make_shared<QueuedLogin>(context_->mailbox, &Session::OnCalled, this,
                                               snapshot_->shared->generation);
  wait->began = now;
  wait->until = now + rules.wait;
  return true;
}

void Session::OnCalled(void* owner) {
  auto* session = static_cast<Session*>(owner);
  if (session->pause_.armed()) session->io_->timers().Arm(&session->pause_, session->io_->Now());
  session->client_.InterruptRead();
}

// True when it is this login's turn to try again; false when it has waited long enough or is over.
coro::Task<bool> Session::WaitInLine(LoginWait* wait) {
  WaitLine* line = wait->line;
  // Nothing is sent to any backend meanwhile, so the user is at none.
  LeaveAffinity();
  if (wait->stood_in != line) PassTurn(wait, 1);
  wait->turn = false;
  wait->stood_in = line;
  const bool first = wait->queued->Join(line);
  const bool again = co_await AwaitTurn(wait, first);
  const bool looked_to = wait->queued->Leave(/*keep=*/again);
  if (again) {
    wait->turn = true;
    // Whatever this one will find, whoever came after a reload may find something else.
    line->CallLater(snapshot_->shared->generation);
  } else if (looked_to) {
    line->CallNext(1);
  }
  co_return again;
}

// The client is read meanwhile: one that goes gives its place up.
coro::Task<bool> Session::AwaitTurn(LoginWait* wait, bool first) {
  const TimeNs look_at = io_->Now() + kLookEvery;
  TimeNs step_in_at = io_->Now() + kStepInAfter;
  Outcome outcome = co_await client_.Flush();
  bool listens = true;
  while (outcome == Outcome::kOk) {
    if (reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone) co_return false;
    if (wait->queued->called()) co_return true;
    const TimeNs now = io_->Now();
    if (now >= wait->until) co_return false;
    if (first && now >= look_at) {
      if (wait->queued->IsFirst()) co_return true;
      first = false;  // who came back stands in front of us, and looks
    }
    // Whoever has the turn may meet a backend that says nothing until its time is over.
    if (!first && now >= step_in_at) {
      if (wait->queued->IsFirst()) co_return true;
      step_in_at = now + kStepInAfter;
    }
    TimeNs wake_at = std::min(first ? look_at : step_in_at, wait->until);
    if (wait->bound_to != nullptr) {
      if (snapshot_->shared->affinity->Look(user_).backend.get() != wait->bound_to) co_return true;
      wake_at = std::min(wake_at, now + kLookEvery);
    }
    outcome = co_await ListenUntil(wake_at, &listens);
  }
  EndOnClient(outcome);
  co_return false;
}

// Waits until then, or until somebody calls; the client is read meanwhile while *listens. Not kOk:
// it has gone.
coro::Task<Outcome> Session::ListenUntil(TimeNs wake_at, bool* listens) {
  if (!*listens) {
    co_await Pause(wake_at - io_->Now());
    co_return Outcome::kOk;
  }
  io_->timers().Arm(&pause_, wake_at);
  Outcome outcome = co_await client_.ReadMore();
  io_->timers().Disarm(&pause_);
  *listens = client_.input().size() < kSentAheadMax;
  // An interrupted read is no end. Behind an end there may be a whole session sent ahead.
  if (outcome == Outcome::kStopped && !client_.stopped()) outcome = Outcome::kOk;
  if (outcome == Outcome::kEnd && !client_.input().empty()) {
    outcome = Outcome::kOk;
    *listens = false;
  }
  co_return outcome;
}

// Somebody else's turn, before this login waits for what has nothing to do with the line.
void Session::PassTurn(LoginWait* wait, size_t count) {
  if (std::exchange(wait->turn, false)) wait->stood_in->CallNext(count);
}

// Whatever came of it, those who wait behind it do not wait in vain.
void Session::FinishWait(LoginWait* wait) {
  if (wait->queued == nullptr) return;
  PassTurn(wait, 1);
  wait->queued.reset();
  wait->counted_in->waiting.fetch_sub(1, std::memory_order_relaxed);
  if (backend_ < 0) return;
  backend_stats(static_cast<size_t>(backend_)).queue_seconds.Record(io_->Now() - wait->began);
}

}  // namespace postern
