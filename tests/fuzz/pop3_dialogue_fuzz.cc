// The login dialogue: byte 0 chooses the options, byte 1 where the rest is cut. Whatever a client
// sends, decisions do not depend on the cuts and credentials come only where they may.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/login_dialogue.h"
#include "tests/fuzz/split_points.h"

namespace postern::pop3 {
namespace {

struct Setup {
  DialogueOptions options;
  bool tls_active = false;
  bool xclient = false;
};

Setup MakeSetup(uint8_t bits) {
  Setup setup;
  setup.tls_active = (bits & 1) != 0;
  setup.options.stls = (bits & 2) != 0;
  setup.options.plaintext_logins = (bits & 4) != 0;
  setup.options.apop = (bits & 8) != 0;
  setup.options.user_pass = (bits & 16) == 0;
  if ((bits & 32) != 0) setup.options.mechanisms = {Mechanism::kLogin};
  if (setup.options.apop) {
    setup.options.mechanisms.push_back(Mechanism::kScramSha256);
    setup.options.mechanisms.push_back(Mechanism::kXoauth2);
    setup.options.mechanisms.push_back(Mechanism::kCramMd5);
    setup.options.mechanisms.push_back(Mechanism::kExternal);
    setup.options.mechanisms.push_back(Mechanism::kDigestMd5);
  }
  setup.options.logins_max = 50;
  // Small limits are met by small inputs.
  if ((bits & 64) != 0) {
    setup.options.line_bytes_max = 40;
    setup.options.sasl_bytes_max = 80;
    setup.options.credential_bytes_max = 20;
  }
  if ((bits & 128) != 0) setup.options.bad_commands_max = 1000;
  setup.xclient = (bits & 128) != 0;
  return setup;
}

class Client {
 public:
  explicit Client(const Setup& setup)
      : setup_(setup),
        dialogue_(&setup.options, setup.tls_active, setup.options.apop ? "<1.2@localhost>" : ""),
        tls_active_(setup.tls_active) {
    if (setup.xclient) dialogue_.TrustXclient();
    if (setup.options.apop) dialogue_.SetCertificateUser("anna");
    const std::string greeting = dialogue_.Greeting();
    CHECK(absl::StartsWith(greeting, "+OK ") && absl::EndsWith(greeting, "\r\n"));
  }

  void Feed(absl::string_view segment) {
    pending_.append(segment.data(), segment.size());
    while (!ended_) {
      size_t consumed = 0;
      const Decision decision = dialogue_.OnInput(pending_, &consumed);
      CHECK(consumed <= pending_.size());
      CHECK((decision.action == Action::kNeedInput) == (consumed == 0));
      pending_.erase(0, consumed);
      if (decision.action == Action::kNeedInput) {
        const size_t xclient_bytes_max = setup_.xclient ? kXclientBytesMax : 0;
        CHECK(pending_.size() < std::max(setup_.options.sasl_bytes_max, xclient_bytes_max));
        CHECK(!absl::StrContains(pending_, '\n'));
        return;
      }
      Judge(decision);
    }
  }

  const std::string& transcript() const { return transcript_; }

 private:
  void Judge(const Decision& decision) {
    transcript_ += static_cast<char>('0' + static_cast<int>(decision.action));
    transcript_ += decision.reply;
    if (!decision.reply.empty()) {
      CHECK(decision.reply[0] == '+' || decision.reply[0] == '-');
      CHECK(absl::EndsWith(decision.reply, "\r\n"));
    }
    CHECK((decision.reason != CloseReason::kNone) == (decision.action == Action::kClose));
    switch (decision.action) {
      case Action::kStartTls:
        CHECK(!tls_active_ && setup_.options.stls && pending_.empty());
        dialogue_.OnTlsStarted();
        tls_active_ = true;
        break;
      case Action::kXclient:
        CHECK(setup_.xclient && decision.xclient != nullptr);
        CHECK(decision.xclient->session.size() <= kSessionBytesMax);
        neighbour_has_tls_ = decision.xclient->tls.value_or(neighbour_has_tls_);
        transcript_ += decision.xclient->client.ToString();
        break;
      case Action::kLogin:
        JudgeLogin(decision.credentials);
        // A carried exchange goes on with the client's answer to a challenge.
        if (decision.credentials.carried()) {
          dialogue_.ExpectSaslResponse();
        } else {
          ended_ = !dialogue_.OnLoginRefused();
        }
        break;
      case Action::kCramChallenge:
        CHECK(absl::StartsWith(dialogue_.OnCramChallenge("<1.2@localhost>"), "+ "));
        break;
      case Action::kDigestChallenge:
        CHECK(absl::StartsWith(dialogue_.OnDigestChallenge("realm=\"localhost\""), "+ "));
        break;
      case Action::kSaslResponse:
        transcript_.append(decision.sasl_response.view().data(), decision.sasl_response.size());
        CHECK(!HasControlBytes(decision.sasl_response.view()));
        ended_ = !dialogue_.OnLoginRefused();
        break;
      case Action::kClose:
        transcript_ += std::string(CloseReasonName(decision.reason));
        ended_ = true;
        break;
      default:
        CHECK(!decision.reply.empty());
    }
    CHECK(dialogue_.bad_commands() <= setup_.options.bad_commands_max);
  }

  void JudgeLogin(const Credentials& credentials) {
    CHECK(tls_active_ || neighbour_has_tls_ || setup_.options.plaintext_logins);
    CHECK(!credentials.user.empty() && !HasControlBytes(credentials.user));
    CHECK(!HasControlBytes(credentials.password.view()));
    const bool apop = credentials.method == LoginMethod::kApop;
    const bool digest = apop || (credentials.method == LoginMethod::kAuth &&
                                 credentials.mechanism == Mechanism::kCramMd5);
    const bool digest_md5 = credentials.by_digest_md5();
    CHECK(credentials.shows_digest() == (digest || digest_md5));
    CHECK(credentials.challenge.empty() != digest);
    CHECK(credentials.password.empty() ==
          (digest || digest_md5 || credentials.carried() || credentials.by_certificate()));
    CHECK(!credentials.by_certificate() || credentials.user == "anna");
    CHECK(digest_md5 || credentials.digest.size() == (digest ? 32 : 0));
    CHECK(!apop || setup_.options.apop);
    transcript_ += credentials.user;
    transcript_.append(credentials.password.view().data(), credentials.password.size());
    transcript_.append(credentials.digest.view().data(), credentials.digest.size());
  }

  const Setup& setup_;
  LoginDialogue dialogue_;
  bool tls_active_;
  bool neighbour_has_tls_ = false;
  bool ended_ = false;
  std::string pending_;
  std::string transcript_;
};

}  // namespace
}  // namespace postern::pop3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const postern::pop3::Setup setup = postern::pop3::MakeSetup(data[0]);
  postern::fuzz::SplitPoints cuts(data[1]);
  const absl::string_view input(reinterpret_cast<const char*>(data + 2), size - 2);

  postern::pop3::Client whole(setup);
  whole.Feed(input);
  postern::pop3::Client split(setup);
  absl::string_view rest = input;
  while (!rest.empty()) split.Feed(cuts.Take(&rest));
  // STLS looks at what stands behind it in the same segment; nothing else does.
  if (!setup.options.stls) CHECK(whole.transcript() == split.transcript());
  return 0;
}
