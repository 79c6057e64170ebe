// A SASL exchange between a client and its backend, carried line by line.
#include <utility>

#include "proxy/session.h"

namespace postern {
namespace {

// SCRAM needs three, an OAuth refusal two.
constexpr int kRoundsMax = 10;

}  // namespace

// Goes on until `verdict` is no challenge any more: kJoined then says that it is the backend's, or
// why there is none. On every other result the upstream has been stopped and waits to be closed.
coro::Task<Session::Attempt> Session::CarryExchange(UpstreamAttempt* attempt,
                                                    UpstreamVerdict* verdict) {
  for (int round = 0; verdict->kind == UpstreamVerdict::Kind::kChallenge; ++round) {
    if (round == kRoundsMax) {
      upstream_.Stop(/*abortive=*/false);
      upstream_error_ = attempt->backend->name + ": challenges without end";
      co_return Attempt::kUnavailable;
    }
    client_.Queue(verdict->reply);
    dialogue_->ExpectSaslResponse();
    pop3::Decision decision = co_await NextDecision();
    if (decision.action == pop3::Action::kSaslResponse) {
      UpstreamVerdict next = co_await AnswerChallenge(attempt, decision.sasl_response.view());
      *verdict = std::move(next);
      continue;
    }
    upstream_.Stop(/*abortive=*/false);
    // The deadline or a shutdown came in between: the dialogue says the last words.
    if (expire_reason_ != CloseReason::kNone) co_return Attempt::kUnavailable;
    client_.Queue(decision.reply);
    if (decision.action == pop3::Action::kSaslAbort) co_return Attempt::kCancelled;
    End(decision.reason);
    co_return Attempt::kGone;
  }
  co_return Attempt::kJoined;
}

}  // namespace postern
