#include "tests/pop3/dialogue_transcript.h"

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"

namespace postern::pop3 {

std::string Describe(const Decision& decision) {
  switch (decision.action) {
    case Action::kNeedInput:
      return "need_input";
    case Action::kReply:
      return absl::StrCat("reply:", decision.reply);
    case Action::kStartTls:
      return absl::StrCat("starttls:", decision.reply);
    case Action::kLogin: {
      const Credentials& credentials = decision.credentials;
      const bool digest = credentials.shows_digest();
      return absl::StrCat("login:", credentials.method_name(), ":", credentials.user, ":",
                          digest ? credentials.digest.view() : credentials.password.view());
    }
    case Action::kCramChallenge:
      return "cram_challenge";
    case Action::kDigestChallenge:
      return "digest_challenge";
    case Action::kXclient:
      return absl::StrCat("xclient:", decision.reply);
    case Action::kSaslResponse:
      return absl::StrCat("sasl_response:", decision.sasl_response.view());
    case Action::kSaslAbort:
      return absl::StrCat("sasl_abort:", decision.reply);
    case Action::kClose:
      return absl::StrCat("close:", CloseReasonName(decision.reason), ":", decision.reply);
  }
  CHECK(false);
}

DialogueTranscript::DialogueTranscript(const DialogueOptions* options, bool tls_active)
    : dialogue_(options, tls_active, options->apop ? kTestChallenge : "") {}

void DialogueTranscript::Feed(absl::string_view segment) {
  if (ended_) return;
  pending_.append(segment.data(), segment.size());
  while (true) {
    size_t consumed = 0;
    const Decision decision = dialogue_.OnInput(pending_, &consumed);
    CHECK(consumed <= pending_.size());
    pending_.erase(0, consumed);
    if (decision.action == Action::kNeedInput) return;
    decisions_.push_back(Describe(decision));
    if (decision.action == Action::kCramChallenge) dialogue_.OnCramChallenge(kTestChallenge);
    if (decision.action == Action::kDigestChallenge) dialogue_.OnDigestChallenge(kTestChallenge);
    if (decision.action == Action::kStartTls) dialogue_.OnTlsStarted();
    if (decision.action == Action::kClose ||
        (decision.action == Action::kLogin && !dialogue_.OnLoginRefused())) {
      ended_ = true;
      return;
    }
  }
}

std::vector<std::string> Decisions(const DialogueOptions& options, bool tls_active,
                                   const std::vector<absl::string_view>& segments) {
  DialogueTranscript transcript(&options, tls_active);
  for (const absl::string_view segment : segments) transcript.Feed(segment);
  return transcript.decisions();
}

}  // namespace postern::pop3
