// Logins that meet a locked maildrop, where the pool conciliates (in_use). Instead of passing on
// the backend's -ERR [IN-USE], the login waits until the user's other session has ended, or ends it
// when it has been idle for long, and asks the same backend again.
//
// Whether anything is in use is the backend's word and not the table's: RFC 2449 section 8.1.2 says
// that the credentials were good. So nobody can end sessions, or learn of them, by a name alone;
// and where a server lets several in, nobody waits.
//
// A session that this process knows wakes those who wait when it has ended. For any other, here or
// behind another proxy, the backend is asked again after growing pauses. When the time is over it
// is asked once more, and what it says then goes to the client.
//
// Two that poll do not end each other's sessions for ever: a login ends only sessions older than
// its waiting, so each has at least end_idle for itself.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "proxy/pop3/reply.h"
#include "proxy/session.h"

namespace postern {
namespace {

constexpr DurationNs kPauseMin = 100 * kMillisecond;
constexpr DurationNs kPauseMax = 2 * kSecond;
// How often idle sessions are asked to give way.
constexpr DurationNs kAskIdleEvery = kSecond;
// Before the client's deadline, for the last question and its answer.
constexpr DurationNs kLastWords = 2 * kSecond;

// RFC 2449 section 8.1.2.
bool SaysInUse(absl::string_view reply) {
  absl::ConsumeSuffix(&reply, "\r\n");
  return absl::EqualsIgnoreCase(pop3::ParseStatusLine(reply).code, "IN-USE");
}

}  // namespace

// Null where nobody conciliates.
MaildropClaim* Session::ClaimFor(const routing::Decision& route) {
  if (route.pool < 0) return nullptr;
  const routing::InUseRules& rules = config().routing.pools[static_cast<size_t>(route.pool)].in_use;
  if (rules.wait == 0) return nullptr;
  if (claim_ == nullptr) {
    claim_ = std::make_unique<MaildropClaim>();
    claim_->place = std::make_shared<MaildropPlace>(snapshot_->shared->maildrops, context_->mailbox,
                                                    &Session::OnMaildropCall, this);
    claim_->pause = kPauseMin;
  }
  claim_->rules = &rules;
  return claim_.get();
}

// Whether a refusal of what was asked at `asked_at` says that the maildrop is locked, and there is
// time to wait for it.
bool Session::MayAwaitMaildrop(const routing::Decision& route, absl::string_view reply,
                               TimeNs asked_at) {
  if (!SaysInUse(reply)) return false;
  MaildropClaim* claim = ClaimFor(route);
  if (claim == nullptr) return false;
  const TimeNs now = io_->Now();
  if (claim->began == 0) {
    claim->began = now;
    claim->until = now + claim->rules->wait;
  }
  // The last question may take as long as this one: some servers wait by themselves before they
  // refuse (Dovecot 2.3 for ten seconds).
  const TimeNs deadline = accepted_at_ + config().timeouts.login;
  claim->until = std::min(claim->until, deadline - kLastWords - (now - asked_at));
  return now < claim->until;
}

// The backend has seen the password, and so nobody else may.
void Session::NoteAsked(size_t backend) {
  claim_->only = static_cast<int>(backend);
  claim_->server = ReachesUnnamedServer() ? (*lookup_->addresses)[0] : SocketAddress();
}

// Before another look: leads the login to the backend that was asked. False: the user is to go
// elsewhere by now.
bool Session::KeepToAsked(routing::Decision* route) const {
  if (!route->known) return true;
  const int only = claim_->only;
  const SocketAddress server = ReachesUnnamedServer() ? (*lookup_->addresses)[0] : SocketAddress();
  if (!(server == claim_->server)) return false;
  const auto begin = route->candidates.begin();
  const auto end = begin + route->candidate_count;
  bool may_ask = std::find(begin, end, only) != end;
  if (!may_ask) {
    if (route->moved || route->pool < 0) return false;
    // A pool that looks at no user may offer others this time.
    const std::vector<int>& members =
        config().routing.pools[static_cast<size_t>(route->pool)].backends;
    if (std::find(members.begin(), members.end(), only) == members.end()) return false;
    may_ask = snapshot_->shared->backend_states[static_cast<size_t>(only)]->usable(io_->Now());
  }
  route->candidate_count = may_ask ? 1 : 0;
  route->candidates[0] = only;
  route->out = may_ask ? -1 : only;
  return true;
}

// The answer is what the backend said when it was asked.
Session::Attempt Session::RefuseAsTold() {
  refusal_ = claim_->words;
  CountLogin(metrics::LoginResult::kRefused);
  return Attempt::kRefused;
}

// kInUse: the backend is to be asked again. kRefused: its words are the answer. kUnavailable: the
// login or the session is over.
coro::Task<Session::Attempt> Session::AwaitMaildrop() {
  routing::Maildrops* const table = snapshot_->shared->maildrops.get();
  MaildropClaim* const claim = claim_.get();
  claim->freed = false;
  claim->place->Wait(user_);
  const TimeNs ask_at = std::min(io_->Now() + claim->pause, claim->until);
  claim->pause = std::min(2 * claim->pause, kPauseMax);
  TimeNs ask_idle_at = 0;
  Attempt attempt = Attempt::kUnavailable;
  bool listens = true;
  Outcome outcome = co_await client_.Flush();
  while (outcome == Outcome::kOk && attempt == Attempt::kUnavailable) {
    if (reason_ != CloseReason::kNone || expire_reason_ != CloseReason::kNone) break;
    const TimeNs now = io_->Now();
    const bool known = table->Holders(user_) > 0;
    if (claim->freed || (!known && now >= ask_at)) {
      attempt = Attempt::kInUse;
    } else if (now >= claim->until) {
      attempt = Attempt::kRefused;
    } else {
      TimeNs wake_at = known ? claim->until : ask_at;
      if (known && claim->rules->end_idle > 0) {
        if (now >= ask_idle_at) {
          table->AskToGiveWay(user_, claim->began, claim->rules->end_idle);
          ask_idle_at = now + kAskIdleEvery;
        }
        wake_at = std::min(wake_at, ask_idle_at);
      }
      outcome = co_await ListenUntil(wake_at, &listens);
    }
  }
  claim->place->Leave();
  // It may let go of its lock a moment later.
  if (claim->freed) claim->pause = kPauseMin;
  if (outcome != Outcome::kOk) EndOnClient(outcome);
  claim->words = std::exchange(refusal_, config().auth.refused_reply);
  if (attempt == Attempt::kRefused) {
    RefuseAsTold();
    metrics::BackendStats& stats = backend_stats(static_cast<size_t>(backend_));
    stats.logins[static_cast<size_t>(metrics::LoginResult::kRefused)].Add();
  }
  co_return attempt;
}

// The login is over, whatever came of it.
void Session::FinishClaim(Attempt attempt) {
  MaildropClaim& claim = *claim_;
  if (claim.only < 0) return;  // it has not waited
  claim.waited = io_->Now() - claim.began;
  using metrics::InUseResult;
  const InUseResult result = attempt == Attempt::kJoined ? InUseResult::kLoggedIn
                             : attempt == Attempt::kRefused && SaysInUse(refusal_)
                                 ? InUseResult::kGaveUp
                                 : InUseResult::kOther;
  metrics::BackendStats& stats = backend_stats(static_cast<size_t>(claim.only));
  stats.in_use[static_cast<size_t>(result)].Add();
  stats.in_use_seconds.Record(claim.waited);
}

void Session::HoldMaildrop(const routing::Decision& route) {
  if (MaildropClaim* claim = ClaimFor(route)) claim->place->Hold(user_, io_->Now());
}

void Session::OnMaildropCall(void* owner, DurationNs idle) {
  auto* session = static_cast<Session*>(owner);
  if (idle > 0) {
    if (session->IsIdleFor(idle)) session->Kick(CloseReason::kSuperseded);
    return;
  }
  // One that was on its way while this login got in means nothing any more.
  if (session->phase_ >= Phase::kRelay) return;
  session->claim_->freed = true;
  OnCalled(owner);
}

// Logged in, with nothing said for so long, nothing to answer and nothing on its way in.
bool Session::IsIdleFor(DurationNs idle) const {
  return phase_ == Phase::kRelay && between_responses() &&
         io_->Now() - relay_->last_activity() >= idle && io_->ReadableBytes(client_.fd()) == 0 &&
         io_->ReadableBytes(upstream_.fd()) == 0;
}

}  // namespace postern
