// From credentials to a joined upstream: who the user is, where the user lives, and the login
// there.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/secret.h"
#include "proxy/master_login.h"
#include "proxy/session.h"
#include "tls/digest.h"

namespace postern {
namespace {

// A backend that just refused a connection gets this long before it is asked again.
constexpr DurationNs kRetryPause = 100 * kMillisecond;

constexpr absl::string_view kUnavailable = "-ERR [SYS/TEMP] Account is temporarily unavailable\r\n";

}  // namespace

coro::Task<bool> Session::LogIn() {
  for (;;) {
    pop3::Decision decision = co_await NextDecision();
    if (decision.action == pop3::Action::kClose) {
      client_.Queue(decision.reply);
      if (decision.reason == CloseReason::kStlsInjection) listener_stats().stls_injections.Add();
      End(decision.reason);
      co_return false;
    }
    const TimeNs asked_at = io_->Now();
    const Attempt attempt = co_await TryLogin(&decision.credentials);
    if (visit_ != nullptr) EndGuardedLogin(attempt);
    if (policy_ != nullptr) ReportPolicy(attempt);
    if (attempt == Attempt::kJoined) co_return true;
    if (attempt == Attempt::kGone) co_return false;
    if (expire_reason_ != CloseReason::kNone || attempt == Attempt::kCancelled) {
      EnterPhase(Phase::kLogin);
      continue;  // after an expiry the dialogue says the last words
    }
    if (attempt == Attempt::kUnavailable) {
      CountLogin(metrics::LoginResult::kUnavailable);
      client_.Queue(lookup_ != nullptr && !lookup_->words.empty()
                        ? absl::string_view(lookup_->words)
                        : kUnavailable);
      End(CloseReason::kUpstreamUnavailable);
      co_return false;
    }
    // Unknown users and wrong passwords are answered at the same moment after the question, with
    // the same words, so that nobody can find out who exists. What everybody waits for, whatever
    // comes of the login, comes on top: otherwise a long wait would leave nothing of the delay.
    const TimeNs tell_at = asked_at + config().timeouts.refused_delay + GuardDelay() +
                           PolicyDelay() + (lookup_ != nullptr ? lookup_->waited : 0);
    co_await AnswerAndPause(std::max(tell_at, lookup_ != nullptr ? lookup_->refuse_at : 0) -
                            io_->Now());
    if (reason_ != CloseReason::kNone) co_return false;
    EnterPhase(Phase::kLogin);
    client_.Queue(refusal_);
    const bool may_go_on = troubled_ ? dialogue_->OnLoginTroubled() : dialogue_->OnLoginRefused();
    if (!may_go_on) {
      End(troubled_ ? CloseReason::kUpstreamUnavailable : CloseReason::kTooManyLogins);
      co_return false;
    }
  }
}

coro::Task<Session::Attempt> Session::TryLogin(pop3::Credentials* credentials) {
  refusal_ = config().auth.refused_reply;
  method_ = credentials->method_name();
  backend_ = -1;
  password_sent_ = troubled_ = false;
  lookup_ = nullptr;
  policy_ = nullptr;
  claim_ = nullptr;
  const absl::StatusOr<std::string> user =
      snapshot_->shared->router->NormaliseUser(credentials->user);
  if (!user.ok()) {
    user_.clear();
    CountLogin(metrics::LoginResult::kUnknownUser);
    co_return Attempt::kRefused;
  }
  user_ = *user;
  if (neighbour_ != nullptr && neighbour_->told.ttl <= 1) {
    // Each proxy takes one away: somebody sends the user round and round.
    End(CloseReason::kProxyLoop);
    co_return Attempt::kUnavailable;
  }
  if (credentials->carried() && !absl::EqualsIgnoreCase(user_, credentials->user)) {
    // The name stands inside a message that is not ours to change, and what we route and what the
    // backend sees must be one name. Where [users] makes no difference between capitals and small
    // letters, neither do the backends.
    upstream_error_ = "the name is not as [users] would write it, and it is carried as it is";
    CountLogin(metrics::LoginResult::kRefused);
    co_return Attempt::kRefused;
  }
  if (snapshot_->shared->guard != nullptr) {
    const bool open = co_await AskGuard();
    if (!open) co_return reason_ != CloseReason::kNone ? Attempt::kGone : Attempt::kRefused;
  }
  if (AsksPolicy()) {
    const Attempt allowed = co_await AskPolicy(credentials);
    if (allowed != Attempt::kJoined) co_return allowed;
  }
  LoginWait wait;
  Attempt attempt = Attempt::kUnavailable;
  for (;;) {
    attempt = co_await TryRoute(credentials, &wait);
    if (attempt == Attempt::kInUse) {
      FinishWait(&wait);
      attempt = co_await AwaitMaildrop();
      if (attempt == Attempt::kInUse) continue;
      break;
    }
    if (attempt != Attempt::kUnavailable || !MayWait(&wait)) break;
    const bool again = co_await WaitInLine(&wait);
    if (!again) break;
  }
  FinishWait(&wait);
  if (claim_ != nullptr) FinishClaim(attempt);
  // A login that was held in vain is told so.
  if (attempt == Attempt::kUnavailable && reason_ != CloseReason::kNone &&
      reason_ != CloseReason::kHeld) {
    attempt = Attempt::kGone;
  }
  if (attempt == Attempt::kUnavailable && blocked_ >= 0) {
    metrics::BackendStats& stats = backend_stats(static_cast<size_t>(blocked_));
    stats.errors[static_cast<size_t>(blocked_by_)].Add();
    stats.logins[static_cast<size_t>(metrics::LoginResult::kUnavailable)].Add();
  }
  if (attempt == Attempt::kJoined) CountLogin(metrics::LoginResult::kAccepted);
  credentials->password.Wipe();
  credentials->sasl_message.Wipe();
  digest_md5_.reset();  // has the user's secret
  if (lookup_ != nullptr) lookup_->Wipe();
  co_return attempt;
}

// Where the user may go now, as far as that is known without asking any backend. kJoined: go on.
coro::Task<Session::Attempt> Session::FindRoute(const pop3::Credentials* credentials,
                                                LoginWait* wait, routing::Decision* route,
                                                absl::string_view* password) {
  for (;;) {
    *route = RouteUser();
    if (route->lookup >= 0) {
      const Attempt asked = co_await AskLookups(credentials, wait, route);
      if (asked != Attempt::kJoined) co_return asked;
    }
    // Our own secrets are asked before any backend, so that a wrong digest costs none anything.
    *password = credentials->password.view();
    if (lookup_ != nullptr && lookup_->secret != nullptr) *password = lookup_->secret->view();
    if (credentials->shows_digest() && !JudgedByLookup() && !VerifyHere(*credentials, password)) {
      CountLogin(metrics::LoginResult::kRefused);
      co_return Attempt::kRefused;
    }
    if (!OnHold()) co_return Attempt::kJoined;
    PassTurn(wait, 1);
    const bool released = co_await WaitWhileHeld();
    if (!released) {
      const bool told = reason_ == CloseReason::kNone || reason_ == CloseReason::kHeld;
      co_return told ? Attempt::kUnavailable : Attempt::kGone;
    }
    // What was true before may be what the hold was there to change.
  }
}

// The line of the route, and the place in the table of live users. kJoined: go on.
Session::Attempt Session::EnterRoute(routing::Decision* route, LoginWait* wait) {
  const bool seated = IsSeated(route);
  ChooseLine(route, wait);
  if (route->known && !JoinAffinity(route, wait)) return Attempt::kUnavailable;
  const bool stays = seated && route->candidates[0] == static_cast<int>(greeted_->backend);
  if (!stays && !wait->turn && wait->line != nullptr &&
      wait->line->SizeSince(snapshot_->shared->generation) > 0) {
    LeaveAffinity();
    may_pass_ = true;
    const auto first =
        static_cast<size_t>(route->candidate_count > 0 ? route->candidates[0] : route->out);
    const routing::BackendState& state = *snapshot_->shared->backend_states[first];
    // The speed of a line tells how long one waits for room, not for a backend to come back.
    const bool full =
        state.usable(io_->Now()) && !state.load().HasRoom(config().routing.backends[first].limits);
    NoteBackendOut(first, full ? metrics::UpstreamError::kFull : metrics::UpstreamError::kOut,
                   "others wait for it");
    return Attempt::kUnavailable;
  }
  if (route->known && route->candidate_count > 0) return Attempt::kJoined;
  if (route->out >= 0) {
    const auto out = static_cast<size_t>(route->out);
    may_pass_ = true;
    if (route->full) {
      NoteBackendOut(out, metrics::UpstreamError::kFull,
                     "full, and so is every other backend of the pool");
    } else {
      NoteBackendOut(out, metrics::UpstreamError::kOut,
                     snapshot_->shared->backend_states[out]->Why(io_->Now()));
    }
  }
  if (route->known) return Attempt::kUnavailable;
  CountLogin(metrics::LoginResult::kUnknownUser);
  return Attempt::kRefused;
}

// One look at where the user may go now, and the attempts that follow from it.
coro::Task<Session::Attempt> Session::TryRoute(const pop3::Credentials* credentials,
                                               LoginWait* wait) {
  blocked_ = asked_ = -1;
  password_sent_ = may_pass_ = false;
  routing::Decision route;
  absl::string_view password;
  const Attempt found = co_await FindRoute(credentials, wait, &route, &password);
  if (found != Attempt::kJoined) co_return found;
  // Nothing waits between the last question for a hold and the join: who holds a user and then
  // hears that every worker has done something since knows all of the user's logins.
  FollowOperator(*credentials, &route);
  PreferRecentHome(&route);
  if (visit_ != nullptr && wait->queued == nullptr && !GuardAllows(route)) {
    co_return Attempt::kRefused;
  }
  const bool asked_before = claim_ != nullptr && claim_->only >= 0;
  if (asked_before && !KeepToAsked(&route)) co_return RefuseAsTold();
  const Attempt entered = EnterRoute(&route, wait);
  if (entered != Attempt::kJoined) co_return entered;
  if (!KeepsTo(*wait, &route)) {
    LeaveAffinity();
    upstream_error_ =
        "the user is to be elsewhere by now, and another backend has seen the password";
    may_pass_ = false;
    co_return Attempt::kUnavailable;
  }
  if (!CanShowDigest(*credentials, route)) {
    LeaveAffinity();
    co_return Attempt::kUnavailable;
  }
  // Where the user is by now.
  if (asked_before && route.candidates[0] != claim_->only) {
    LeaveAffinity();
    co_return RefuseAsTold();
  }
  // A master login shows the backend no password of the user's, and a stored secret none that the
  // client has shown: nobody but us, or a lookup, can judge it.
  const bool judged = credentials->shows_digest() ||
                      (JudgedByLookup() && (lookup_->secret != nullptr || !LeadsToSecret(route)));
  const bool verified = credentials->by_certificate()       ? CertificateOpens(route, &password)
                        : judged || !LeadsToOwnLogin(route) ? true
                                                            : VerifyHere(*credentials, &password);
  if (!verified) {
    LeaveAffinity();
    CountLogin(metrics::LoginResult::kRefused);
    co_return Attempt::kRefused;
  }
  if (phase_ != Phase::kUpstreamLogin) EnterPhase(Phase::kUpstreamLogin);
  const TimeNs started = io_->Now();
  const Attempt attempt = co_await TryCandidates(&route, credentials, password, wait);
  upstream_time_ += io_->Now() - started;
  // With kGone the connection may still be there; it is closed at the end of the session.
  if (attempt != Attempt::kJoined && attempt != Attempt::kGone) LeaveAffinity();
  if (attempt == Attempt::kJoined) {
    HoldMaildrop(route);
    const bool of_pool = route.pool >= 0 && !route.moved;
    stays_for_ = of_pool ? config().routing.pools[static_cast<size_t>(route.pool)].affinity_for : 0;
  }
  if (attempt == Attempt::kRefused) {
    CountLogin(troubled_                               ? metrics::LoginResult::kSys
               : guard_refusal_ == GuardRefusal::kNone ? metrics::LoginResult::kRefused
                                                       : metrics::LoginResult::kLimited);
  }
  co_return attempt;
}

// Nobody who may serve the user can take a login: said at once, instead of a timeout for each.
// Counted when the login is given up.
void Session::NoteBackendOut(size_t backend, metrics::UpstreamError error, absl::string_view why) {
  const routing::BackendState& state = *snapshot_->shared->backend_states[backend];
  backend_ = blocked_ = static_cast<int>(backend);
  blocked_by_ = error;
  upstream_error_ = absl::StrCat(state.name(), ": ", why);
}

// Joins the table of live users before anything is sent anywhere. A user who is at another backend
// already goes there and nowhere else. False when that one cannot be used; then why is noted.
bool Session::JoinAffinity(routing::Decision* route, LoginWait* wait) {
  const Snapshot& shared = *snapshot_->shared;
  // A route to one backend is the operator's own word: whoever is moved by it moves at once.
  if (!route->moved &&
      (route->pool < 0 || !config().routing.pools[static_cast<size_t>(route->pool)].affinity)) {
    if (route->candidate_count > 0) {
      shared.affinity->Enter(user_);
      entered_ = true;
    }
    return true;
  }
  const routing::BackendStateList& states = shared.backend_states;
  std::shared_ptr<routing::BackendState> wanted;
  if (route->candidate_count > 0) wanted = states[static_cast<size_t>(route->candidates[0])];
  const std::shared_ptr<routing::BackendState> held = shared.affinity->Join(user_, wanted);
  if (held == nullptr) return true;
  affine_ = true;
  if (held == wanted) return true;
  const auto place = std::find(states.begin(), states.end(), held);
  if (place == states.end()) {
    upstream_error_ = absl::StrCat(held->name(),
                                   ": has a live session of the user and is not in "
                                   "the configuration any more");
    LeaveAffinity();
    return false;
  }
  const auto backend = static_cast<size_t>(place - states.begin());
  if (wait->queue != nullptr) {
    wait->line = &held->line();
    wait->bound_to = held.get();
  }
  const bool test = wait->turn && held->only_ejected(io_->Now());
  if (!held->usable_for_live_users(io_->Now()) && !test) {
    may_pass_ = true;
    NoteBackendOut(backend, metrics::UpstreamError::kOut,
                   absl::StrCat(held->Why(io_->Now()), "; the user has a live session there"));
    LeaveAffinity();
    return false;
  }
  route->candidates[0] = static_cast<int>(backend);
  route->candidate_count = 1;
  return true;
}

void Session::LeaveAffinity() {
  if (std::exchange(entered_, false)) snapshot_->shared->affinity->Exit(user_);
  if (std::exchange(affine_, false)) snapshot_->shared->affinity->Leave(user_);
}

bool Session::LeadsToSecret(const routing::Decision& route) const {
  for (int i = 0; i < route.candidate_count; ++i) {
    const auto backend = static_cast<size_t>(route.candidates[static_cast<size_t>(i)]);
    if (config().backends[backend].login == config::UpstreamLogin::kSecret) return true;
  }
  return false;
}

bool Session::LeadsToOwnLogin(const routing::Decision& route) const {
  for (int i = 0; i < route.candidate_count; ++i) {
    const auto backend = static_cast<size_t>(route.candidates[static_cast<size_t>(i)]);
    const config::UpstreamLogin login = config().backends[backend].login;
    if (login == config::UpstreamLogin::kMaster || login == config::UpstreamLogin::kSecret) {
      return true;
    }
  }
  return false;
}

// Verifies a password, or the digest of APOP (RFC 1939 section 7) or CRAM-MD5 (RFC 2195), against
// the stored secret, which then is the password upstream. In constant time: also for a user who has
// none.
bool Session::VerifyHere(const pop3::Credentials& credentials, absl::string_view* password) const {
  const Secret nobody("no such user");
  const Secret* secret =
      snapshot_->shared->secrets == nullptr ? nullptr : snapshot_->shared->secrets->Find(user_);
  const absl::string_view key = secret == nullptr ? nobody.view() : secret->view();
  const bool same = Matches(credentials, key);
  if (secret == nullptr || !same) return false;
  *password = key;
  return true;
}

// Whether the client has this secret: in constant time.
bool Session::Matches(const pop3::Credentials& credentials, absl::string_view secret) const {
  if (!credentials.shows_digest()) {
    return ConstantTimeEquals(secret, credentials.password.view());
  }
  if (credentials.by_digest_md5()) {
    return digest_md5_ != nullptr && digest_md5_->Verify(credentials.digest.view(), secret);
  }
  const absl::StatusOr<std::string> digest = credentials.method == pop3::LoginMethod::kApop
                                                 ? tls::Md5Hex(credentials.challenge, secret)
                                                 : tls::HmacMd5Hex(secret, credentials.challenge);
  return digest.ok() && ConstantTimeEquals(*digest, credentials.digest.view());
}

coro::Task<Session::Attempt> Session::TryCandidates(const routing::Decision* route,
                                                    const pop3::Credentials* credentials,
                                                    absl::string_view password, LoginWait* wait) {
  for (int i = 0; i < route->candidate_count; ++i) {
    const auto backend = static_cast<size_t>(route->candidates[static_cast<size_t>(i)]);
    // Another login of the same user may get through at the one before, or has.
    if (i > 0 && affine_ &&
        !snapshot_->shared->affinity->Move(user_, snapshot_->shared->backend_states[backend])) {
      break;
    }
    if (greeted_ != nullptr && greeted_->backend != backend) LeaveGreeted();
    // A server that no backend names is not one of those whose seats are counted.
    if (greeted_ == nullptr && !ReachesUnnamedServer() &&
        (!MayTry(*route, backend, wait->turn) || !TakeSeat(backend))) {
      continue;
    }
    Attempt attempt = co_await TryBackend(route, backend, credentials, password, wait);
    if (attempt == Attempt::kRefused && config().backends[backend].referrals > 0) {
      attempt = co_await FollowReferrals(route, backend, credentials, password, wait);
      // The way to that maildrop is the referral's and not the route's, so nobody can wait on it.
      if (attempt == Attempt::kInUse) attempt = RefuseHere();
    }
    // With kGone the connection may still be there.
    if (attempt != Attempt::kJoined && attempt != Attempt::kGone && greeted_ == nullptr) {
      LeaveSeat(/*call_next=*/attempt != Attempt::kUnavailable);
    }
    if (attempt == Attempt::kJoined) SeatJoined();
    if (attempt == Attempt::kInUse) NoteAsked(backend);
    if (attempt != Attempt::kUnavailable) co_return attempt;
    // The deadline or a shutdown came in between: the dialogue says the last words.
    if (expire_reason_ != CloseReason::kNone) break;
    if (password_sent_) break;
  }
  co_return Attempt::kUnavailable;
}

// The backend's words are in refusal_.
Session::Attempt Session::RefuseHere() {
  metrics::BackendStats& stats = backend_stats(static_cast<size_t>(backend_));
  troubled_ = TellsOfTrouble(refusal_);
  const auto result = troubled_ ? metrics::LoginResult::kSys : metrics::LoginResult::kRefused;
  stats.logins[static_cast<size_t>(result)].Add();
  return Attempt::kRefused;
}

UpstreamAttempt Session::AttemptAt(size_t backend) {
  const Snapshot& shared = *snapshot_->shared;
  const config::Backend& target = config().backends[backend];
  UpstreamAttempt attempt(&upstream_, &target, &config().timeouts,
                          snapshot_->client_tls[backend].get(), &backend_stats(backend),
                          &(*context_->memories)[shared.backend_stats[backend]]);
  attempt.deadline = accepted_at_ + config().timeouts.login;
  attempt.offers = shared.offers.get();
  attempt.backend_index = backend;
  if (target.proxy_protocol != config::UpstreamProxy::kOff ||
      target.xclient != config::UpstreamXclient::kOff) {
    attempt.identity = Identity();
    AddForward(target, &attempt.identity);
    attempt.session = SessionName();
  }
  return attempt;
}

// What an attempt tells about the backend, for all sessions: see EjectRules.
void Session::NoteOutcome(const routing::Decision& route, size_t backend,
                          const UpstreamVerdict& verdict) {
  routing::BackendState& state = *snapshot_->shared->backend_states[backend];
  const bool failed = verdict.kind == UpstreamVerdict::Kind::kFailed;
  if (!failed) {
    if (tests_ejected_ && !route.panic) state.EndEjection(io_->Now());
    return state.OnSuccess(io_->Now());
  }
  // Our own shortage, and a client that left or ran out of time, say nothing about the backend.
  if (verdict.error == metrics::UpstreamError::kLocal || reason_ != CloseReason::kNone ||
      expire_reason_ != CloseReason::kNone ||
      io_->Now() >= accepted_at_ + config().timeouts.login) {
    return;
  }
  // It greeted; a slow login is no reason to send everybody away.
  if (verdict.password_sent || verdict.error == metrics::UpstreamError::kLoginTimeout) return;
  snapshot_->shared->router->NoteFailure(route, backend, verdict.detail,
                                         snapshot_->shared->backend_states, io_->Now());
}

coro::Task<Session::Attempt> Session::TryBackend(const routing::Decision* route, size_t backend,
                                                 const pop3::Credentials* credentials,
                                                 absl::string_view password, LoginWait* wait) {
  const config::Backend& target = config().backends[backend];
  metrics::BackendStats& stats = backend_stats(backend);
  backend_ = static_cast<int>(backend);
  if (credentials->carried() && target.login != config::UpstreamLogin::kSasl) {
    // A listener offers what its backends take; whoever was moved by hand may be elsewhere.
    upstream_error_ = target.name + ": does not take the client's own SASL exchange";
    co_return Attempt::kUnavailable;
  }
  UpstreamAttempt attempt = AttemptAt(backend);
  attempt.user = LoginUser();
  attempt.password = password;
  attempt.foreign_password = target.login == config::UpstreamLogin::kSecret;
  if (target.login == config::UpstreamLogin::kMaster &&
      !LogInAsMaster(LoginUser(), snapshot_->shared->master_passwords[backend].view(), &attempt)) {
    upstream_error_ = target.name + ": the name cannot be written in its master_format";
    co_return Attempt::kRefused;
  }
  if (target.login == config::UpstreamLogin::kSasl &&
      credentials->method == pop3::LoginMethod::kAuth) {
    attempt.mechanism = pop3::InfoOf(credentials->mechanism).name;
    attempt.sasl_message = credentials->sasl_message.view();
  }
  if (credentials->for_backend) attempt.apop_digest = credentials->digest.view();
  // Once: the next order might begin with the address that just failed.
  const AddressList addresses =
      ReachesUnnamedServer() ? lookup_->addresses : snapshot_->shared->addresses->Get(backend);
  // The try on a connection that greeted and may be gone by now does not count.
  const int tries = config().limits.upstream_tries + (greeted_ != nullptr ? 1 : 0);
  for (int i = 0; i < tries; ++i) {
    if (addresses == nullptr || addresses->empty()) {
      stats.errors[static_cast<size_t>(metrics::UpstreamError::kResolve)].Add();
      upstream_error_ = absl::StrCat(target.name, ": ", WhyNoAddress(addresses));
      may_pass_ = true;
      break;
    }
    if (i > 0) {
      co_await Pause(kRetryPause);
    }
    if (reason_ != CloseReason::kNone) co_return Attempt::kGone;
    if (expire_reason_ != CloseReason::kNone || io_->Now() >= attempt.deadline) break;
    // A digest is no answer to the greeting of any other connection.
    if (credentials->for_backend && greeted_ == nullptr) break;
    tests_ejected_ = snapshot_->shared->backend_states[backend]->ejected(io_->Now());
    attempt.address = (*addresses)[static_cast<size_t>(i) % addresses->size()];
    std::unique_ptr<GreetedUpstream> greeted = UseGreeted(&attempt);
    const TimeNs asked_at = io_->Now();
    UpstreamVerdict verdict = co_await LogInUpstream(&attempt);
    // What happens at a server that no backend names says nothing about one, nor does it say
    // anything that a connection was not kept open for ever.
    const bool lost = greeted != nullptr && verdict.kind == UpstreamVerdict::Kind::kFailed;
    if (!ReachesUnnamedServer() && !lost) NoteOutcome(*route, backend, verdict);
    // It is there, so more than one may try. What else this login waits for, its client above all,
    // is nothing to those behind it.
    if (verdict.kind != UpstreamVerdict::Kind::kFailed) PassTurn(wait, 2);
    // The client has taken part in such an exchange, and would have to once more.
    const bool carried_on = verdict.kind == UpstreamVerdict::Kind::kChallenge;
    if (carried_on) {
      const Attempt carried = co_await CarryExchange(&attempt, &verdict);
      if (carried != Attempt::kJoined) {
        upstream_.Close(/*abortive=*/false);
        password_sent_ = true;
        may_pass_ = false;
        if (carried == Attempt::kUnavailable) {
          stats.logins[static_cast<size_t>(metrics::LoginResult::kUnavailable)].Add();
        }
        co_return carried;
      }
    }
    upstream_error_ = std::move(verdict.detail);
    if (verdict.kind == UpstreamVerdict::Kind::kAccepted && upstream_.stopped()) {
      // We had given the upstream up before its answer was read.
      verdict.kind = UpstreamVerdict::Kind::kFailed;
    }
    const bool kept = KeepGreeted(std::move(greeted), attempt, verdict);
    if (verdict.kind != UpstreamVerdict::Kind::kAccepted && !kept) {
      upstream_.Stop(/*abortive=*/false);
      upstream_.Close(/*abortive=*/false);
    }
    if (reason_ != CloseReason::kNone) co_return Attempt::kGone;
    if (verdict.kind == UpstreamVerdict::Kind::kAccepted && credentials->by_digest_md5()) {
      const Attempt shown = co_await ShowProof();
      if (shown != Attempt::kJoined) co_return shown;
    }
    if (verdict.kind == UpstreamVerdict::Kind::kAccepted && visit_ != nullptr &&
        !GuardAccepts(*route)) {
      stats.logins[static_cast<size_t>(metrics::LoginResult::kLimited)].Add();
      upstream_.Stop(/*abortive=*/false);
      upstream_.Close(/*abortive=*/false);
      co_return Attempt::kRefused;
    }
    if (verdict.kind == UpstreamVerdict::Kind::kAccepted) {
      stats.logins[static_cast<size_t>(metrics::LoginResult::kAccepted)].Add();
      client_.Queue(verdict.reply);
      co_return Attempt::kJoined;
    }
    if (verdict.kind == UpstreamVerdict::Kind::kRefused) {
      refusal_ = std::move(verdict.reply);
      const bool in_use = !carried_on && MayAwaitMaildrop(*route, refusal_, asked_at);
      co_return in_use ? Attempt::kInUse : RefuseHere();
    }
    password_sent_ = password_sent_ || verdict.password_sent;
    may_pass_ = verdict.retry_same && verdict.error != metrics::UpstreamError::kLocal;
    const bool vanished = verdict.error == metrics::UpstreamError::kClosed;
    if (verdict.password_sent && vanished) asked_ = static_cast<int>(backend);
    if (!verdict.retry_same || password_sent_) break;
  }
  stats.logins[static_cast<size_t>(metrics::LoginResult::kUnavailable)].Add();
  co_return Attempt::kUnavailable;
}

}  // namespace postern
