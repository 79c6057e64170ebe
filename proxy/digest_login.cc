// DIGEST-MD5 as the session sees it: a challenge, an answer that is verified like that of CRAM-MD5,
// and, unlike there, a last word of ours (RFC 2831 section 2.1.3).
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/digest_md5.h"
#include "proxy/pop3/sasl.h"
#include "proxy/session.h"

namespace postern {
namespace {

constexpr absl::string_view kNoChallenge =
    "-ERR [SYS/TEMP] DIGEST-MD5 does not work at the moment, please try again later\r\n";

}  // namespace

// What the client is told. The exchange before it, if any, is forgotten.
std::string Session::ChallengeByDigest() {
  digest_md5_ = DigestMd5Exchange::Begin(config().hostname);
  if (digest_md5_ == nullptr) return std::string(kNoChallenge);
  return dialogue_->OnDigestChallenge(digest_md5_->challenge());
}

// The backend has accepted the login: shows that we know the secret, too, and waits until the
// client has agreed. kJoined: it has. Otherwise the upstream has been closed.
coro::Task<Session::Attempt> Session::ShowProof() {
  client_.Queue(absl::StrCat("+ ", pop3::EncodeBase64(digest_md5_->proof()), "\r\n"));
  dialogue_->ExpectSaslResponse();
  const pop3::Decision decision = co_await NextDecision();
  const bool answered = decision.action == pop3::Action::kSaslResponse;
  if (answered && decision.sasl_response.empty() && !upstream_.stopped()) {
    digest_md5_.reset();
    co_return Attempt::kJoined;
  }
  upstream_.Stop(/*abortive=*/false);
  upstream_.Close(/*abortive=*/false);
  // The deadline or a shutdown came in between: the dialogue says the last words.
  if (expire_reason_ != CloseReason::kNone) co_return Attempt::kUnavailable;
  // An answer to it that is not empty cancels, or is one to another question.
  client_.Queue(answered ? absl::string_view("-ERR Cancelled\r\n") : decision.reply);
  if (answered || decision.action == pop3::Action::kSaslAbort) co_return Attempt::kCancelled;
  End(decision.reason);
  co_return Attempt::kGone;
}

}  // namespace postern
