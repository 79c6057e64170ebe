// The session's questions to the policy service, and what it tells the service afterwards: see
// routing/lookup/policy_message.h.
//
// Asked behind the guard's own failures, which cost nothing, and in front of everybody who could
// say whether a password is right. A session waits for the answer and for the time that the service
// gives it in Pause(): that costs no thread, and whatever ends a pause ends this too.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/session.h"
#include "routing/lookup/policy_message.h"
#include "tls/digest.h"

namespace postern {
namespace {

using Kind = routing::LookupAnswer::Kind;

// In Snapshot::policy.
constexpr size_t kAllowAsker = 0;
constexpr size_t kReportAsker = 1;

}  // namespace

bool Session::AsksPolicy() const {
  return !snapshot_->shared->policy.empty() &&
         !guard::Guard::IsExempt(config().guard, client_address_);
}

std::string Session::PolicyHash(const pop3::Credentials& credentials) const {
  // A digest (APOP, CRAM-MD5) shows no password; Dovecot hashes none then, too.
  return routing::PolicyPasswordHash(
      tls::Sha256({snapshot_->shared->policy_nonce.view(), user_, absl::string_view("\0", 1),
                   credentials.password.view()}),
      config().policy.hash_bits);
}

// `report` null: the question before a login.
routing::LookupQuestion Session::PolicyQuestion(const routing::PolicyOutcome* report) const {
  const std::string client = client_address_.IpText();
  const std::string session = SessionName();
  routing::PolicyLogin login;
  login.user = user_;
  login.password_hash = policy_->password_hash;
  login.client = client;
  login.session = session;
  login.tls = Identity().tls;
  routing::LookupQuestion question;
  question.user = user_;
  question.method = std::string(report == nullptr ? routing::kPolicyAllow : routing::kPolicyReport);
  question.message = report == nullptr ? routing::PolicyAllowMessage(login)
                                       : routing::PolicyReportMessage(login, *report);
  return question;
}

// kJoined: go on.
coro::Task<Session::Attempt> Session::AskPolicy(const pop3::Credentials* credentials) {
  policy_ = std::make_unique<PolicyVisit>();
  const TimeNs began = io_->Now();
  policy_->password_hash = PolicyHash(*credentials);
  guard_refusal_ = GuardRefusal::kNone;
  routing::LookupService* service = snapshot_->shared->policy[kAllowAsker].get();
  routing::LookupQuestion question = PolicyQuestion(nullptr);
  routing::AnswerPtr answer = co_await AskService(service, &question);
  if (reason_ != CloseReason::kNone) co_return Attempt::kGone;
  // The deadline or a shutdown came in between: the dialogue says the last words.
  if (expire_reason_ != CloseReason::kNone) co_return Attempt::kUnavailable;
  const Attempt taken = TakePolicyAnswer(*answer);
  policy_->took = io_->Now() - began;
  if (taken != Attempt::kJoined || policy_->tarpit == 0) co_return taken;
  co_await AnswerAndPause(policy_->tarpit);
  policy_->took = io_->Now() - began;
  if (reason_ != CloseReason::kNone) co_return Attempt::kGone;
  if (expire_reason_ != CloseReason::kNone) co_return Attempt::kUnavailable;
  co_return Attempt::kJoined;
}

Session::Attempt Session::TakePolicyAnswer(const routing::LookupAnswer& answer) {
  const config::Policy& policy = config().policy;
  if (answer.kind == Kind::kFound) {
    policy_->tarpit = std::min(answer.wait.value_or(0), policy.tarpit_max);
    policy_->verdict = policy_->tarpit > 0 ? "tarpitted" : "allowed";
    if (policy_->tarpit > 0) {
      listener_stats().policy_tarpits.Add();
      listener_stats().policy_tarpit_ns.Add(static_cast<uint64_t>(policy_->tarpit));
    }
    return Attempt::kJoined;
  }
  if (answer.kind == Kind::kForbidden) {
    // In the words of a wrong password, which refusal_ has, and as late: nobody learns that it was
    // never tried.
    policy_->verdict = "refused";
    policy_->rejected = true;
    upstream_error_ =
        absl::StrCat("policy: refused", answer.detail.empty() ? "" : ": ", answer.detail);
    NoteGuardRefusal(GuardRefusal::kPolicy);
    CountLogin(metrics::LoginResult::kLimited);
    return Attempt::kRefused;
  }
  policy_->verdict = "unanswered";
  listener_stats().policy_unanswered.Add();
  if (!policy.fail_closed) return Attempt::kJoined;
  upstream_error_ = absl::StrCat("policy: ", answer.detail);
  return Attempt::kUnavailable;
}

// Behind the verdict. What is none is not told.
void Session::ReportPolicy(Attempt attempt) {
  const Snapshot& shared = *snapshot_->shared;
  if (shared.policy.size() <= kReportAsker) return;
  const bool verdict = attempt == Attempt::kJoined || policy_->rejected ||
                       (attempt == Attempt::kRefused && JudgesCredentials(refusal_));
  if (!verdict) return;
  const routing::PolicyOutcome outcome = policy_->rejected ? routing::PolicyOutcome::kRejected
                                         : attempt == Attempt::kJoined
                                             ? routing::PolicyOutcome::kAccepted
                                             : routing::PolicyOutcome::kRefused;
  routing::LookupTicketPtr ticket;
  // The session may be over before it has been told: the question has all it needs.
  shared.policy[kReportAsker]->Ask(
      PolicyQuestion(&outcome), io_->Now(), [](const routing::AnswerPtr&) {}, &ticket);
}

}  // namespace postern
