// The session's questions to the guard: see proxy/guard/guard.h.
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "proxy/base/ip_network.h"
#include "proxy/pop3/reply.h"
#include "proxy/session.h"

namespace postern {
namespace {

// Said before anybody was asked, so it is no verdict on the credentials: RFC 3206 section 4.
constexpr absl::string_view kTooManyFailures =
    "-ERR [SYS/TEMP] Too many failed logins, please try again later\r\n";
constexpr absl::string_view kTooManySessions =
    "-ERR [SYS/TEMP] Too many sessions, please try again later\r\n";
// RFC 2449 section 8.1.2: IN-USE says that the authentication was successful. So it is right behind
// the backend's +OK, and only there.
constexpr absl::string_view kInUse = "-ERR [IN-USE] Too many sessions, please try again later\r\n";
// RFC 2449 section 8.1.1.
constexpr absl::string_view kTooSoon =
    "-ERR [LOGIN-DELAY] Too soon after the last login, please try again later\r\n";

}  // namespace

// Whether a refusal says that the credentials are wrong. These codes say something else: RFC 2449
// section 8.1, RFC 3206 section 4.
bool Session::JudgesCredentials(absl::string_view reply) {
  absl::ConsumeSuffix(&reply, "\r\n");
  const absl::string_view code = pop3::ParseStatusLine(reply).code;
  return !absl::EqualsIgnoreCase(code, "IN-USE") && !absl::EqualsIgnoreCase(code, "LOGIN-DELAY") &&
         !TellsOfTrouble(reply);
}

// Whether a backend says that it is not well itself: RFC 3206 section 4.
bool Session::TellsOfTrouble(absl::string_view reply) {
  absl::ConsumeSuffix(&reply, "\r\n");
  return absl::StartsWithIgnoreCase(pop3::ParseStatusLine(reply).code, "SYS/");
}

void Session::NoteGuardRefusal(GuardRefusal refusal) {
  guard_refusal_ = refusal;
  listener_stats().guard_refusals[static_cast<size_t>(refusal)].Add();
}

// A connection that has just come in. The worker has asked about the address it came from; behind a
// PROXY header another one is meant.
bool Session::PassDoor() {
  const Snapshot& shared = *snapshot_->shared;
  const guard::Options& options = config().guard;
  visit_ = std::make_unique<guard::Visit>(shared.guard.get());
  // A neighbour that checks our health, and one that speaks for many.
  if (neighbour_ != nullptr && neighbour_->protocol == "local") return true;
  if (ContainsAddress(listener().xclient_networks, client_address_)) return true;
  GuardRefusal refusal = GuardRefusal::kNone;
  if (neighbour_ != nullptr) {
    refusal = shared.guard->LetIn(options, shared.address_lists.get(), client_address_,
                                  listener().name, io_->Now());
  }
  if (refusal == GuardRefusal::kNone) {
    refusal = shared.guard->TakePlace(options, client_address_, visit_.get());
  }
  if (refusal == GuardRefusal::kNone) return true;
  NoteGuardRefusal(refusal);
  const bool in_the_clear = listener().tls != config::ListenerTls::kImplicit;
  if (in_the_clear && refusal != GuardRefusal::kDenied) client_.Queue(kRefusedByLimit);
  End(CloseReason::kAdmission);
  return false;
}

// Credentials have come. False: they are refused by refusal_, or the session is about to end.
coro::Task<bool> Session::AskGuard() {
  const Snapshot& shared = *snapshot_->shared;
  const guard::Options& options = config().guard;
  guard_refusal_ = GuardRefusal::kNone;
  GuardRefusal refusal = GuardRefusal::kNone;
  // Whom XCLIENT named had not passed the door.
  if (neighbour_ != nullptr && neighbour_->protocol == "xclient" && !visit_->has_place()) {
    refusal = shared.guard->LetIn(options, shared.address_lists.get(), client_address_,
                                  listener().name, io_->Now());
    if (refusal == GuardRefusal::kNone) {
      refusal = shared.guard->TakePlace(options, client_address_, visit_.get());
    }
    if (refusal != GuardRefusal::kNone) refusal_ = std::string(kTooManySessions);
  }
  if (refusal == GuardRefusal::kNone) {
    refusal = shared.guard->BeginLogin(options, client_address_, user_, io_->Now(), visit_.get());
    if (refusal != GuardRefusal::kNone) refusal_ = std::string(kTooManyFailures);
  }
  if (refusal != GuardRefusal::kNone) {
    NoteGuardRefusal(refusal);
    CountLogin(metrics::LoginResult::kLimited);
    co_return false;
  }
  const DurationNs delay = visit_->delay();
  if (delay == 0) co_return true;
  listener_stats().guard_delays.Add();
  listener_stats().guard_delay_ns.Add(static_cast<uint64_t>(delay));
  co_await AnswerAndPause(delay);
  if (expire_reason_ == CloseReason::kNone && reason_ == CloseReason::kNone) co_return true;
  shared.guard->EndLogin(options, /*wrong=*/false, io_->Now(), visit_.get());
  co_return false;
}

DurationNs Session::LoginDelayOf(const routing::Decision& route) const {
  if (route.route >= 0) {
    const DurationNs own = config().route_login_delays[static_cast<size_t>(route.route)];
    if (own >= 0) return own;
  }
  if (route.pool < 0) return config().guard.login_delay;
  return config().login_delays[static_cast<size_t>(route.pool)];
}

// Before a backend is asked. False: refused by refusal_.
bool Session::GuardAllows(const routing::Decision& route) {
  const GuardRefusal refusal =
      snapshot_->shared->guard->MayLogIn(config().guard, LoginDelayOf(route), io_->Now(), *visit_);
  if (refusal == GuardRefusal::kNone) return true;
  refusal_ = std::string(refusal == GuardRefusal::kLoginDelay ? kTooSoon : kTooManySessions);
  NoteGuardRefusal(refusal);
  CountLogin(metrics::LoginResult::kLimited);
  return false;
}

// The backend has said yes. False: refused by refusal_ all the same.
bool Session::GuardAccepts(const routing::Decision& route) {
  const GuardRefusal refusal = snapshot_->shared->guard->Accept(config().guard, LoginDelayOf(route),
                                                                io_->Now(), visit_.get());
  if (refusal == GuardRefusal::kNone) return true;
  refusal_ = std::string(refusal == GuardRefusal::kLoginDelay ? kTooSoon : kInUse);
  NoteGuardRefusal(refusal);
  return false;
}

void Session::EndGuardedLogin(Attempt attempt) {
  const bool wrong = attempt == Attempt::kRefused && guard_refusal_ != GuardRefusal::kPolicy &&
                     JudgesCredentials(refusal_);
  snapshot_->shared->guard->EndLogin(config().guard, wrong, io_->Now(), visit_.get());
}

}  // namespace postern
