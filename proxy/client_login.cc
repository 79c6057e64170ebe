// The client's side of a login: TLS, greeting, and the dialogue up to a set of credentials.
#include <algorithm>
#include <string>
#include <utility>

#include "proxy/base/ip_network.h"
#include "proxy/session.h"
#include "tls/random.h"

namespace postern {
namespace {

// Replies are sent at the latest when this many bytes wait; a client that floods commands and does
// not read is then no longer read either.
constexpr size_t kQueuedBytesMax = 16384;

absl::string_view LastWords(CloseReason reason) {
  switch (reason) {
    case CloseReason::kShutdown:
      return "-ERR [SYS/TEMP] The server is shutting down, please try again\r\n";
    case CloseReason::kLoginTimeout:
      return "-ERR [SYS/TEMP] Login took too long\r\n";
    default:
      return "-ERR [SYS/TEMP] This session was ended, please try again\r\n";
  }
}

metrics::TlsVersion VersionOf(absl::string_view version) {
  if (version == "TLSv1.3") return metrics::TlsVersion::kTls13;
  if (version == "TLSv1.2") return metrics::TlsVersion::kTls12;
  return metrics::TlsVersion::kOther;
}

metrics::TlsCipher CipherOf(absl::string_view cipher) {
  const auto has = [cipher](absl::string_view part) {
    return cipher.find(part) != absl::string_view::npos;
  };
  if (has("AES128-GCM") || has("AES_128_GCM")) return metrics::TlsCipher::kAes128Gcm;
  if (has("AES256-GCM") || has("AES_256_GCM")) return metrics::TlsCipher::kAes256Gcm;
  if (has("CHACHA20")) return metrics::TlsCipher::kChacha20;
  return metrics::TlsCipher::kOther;
}

}  // namespace

coro::Task<bool> Session::Greet() {
  const config::Listener& at = listener();
  const bool implicit_tls = at.tls == config::ListenerTls::kImplicit;
  if (refuse_) {
    // In the clear we can say why; a handshake would be the very cost the limit is to spare us.
    if (!implicit_tls) client_.Queue(kRefusedByLimit);
    End(CloseReason::kAdmission);
    co_return false;
  }
  client_.set_sensitive(true);
  if (at.proxy_protocol) {
    const bool heard = co_await HearNeighbour();
    if (!heard) co_return false;
  }
  if (snapshot_->shared->guard != nullptr && !PassDoor()) co_return false;
  const pop3::DialogueOptions& options = snapshot_->shared->dialogues[listener_];
  std::string challenge;
  if (options.apop) challenge = NewChallenge();
  // TLS that ended at the neighbour is the client's all the same.
  const bool tls_active = implicit_tls || (neighbour_ != nullptr && neighbour_->told.tls);
  dialogue_ = std::make_unique<pop3::LoginDialogue>(&options, tls_active, std::move(challenge));
  // By who speaks, not by who carries: behind a PROXY header it is the client's own word.
  if (ContainsAddress(at.xclient_networks, client_address_)) dialogue_->TrustXclient();
  if (snapshot_->shared->offers != nullptr) {
    dialogue_->SetOffer(snapshot_->shared->offers->Get(listener_));
  }
  const std::string greeting = dialogue_->Greeting();
  const bool early = implicit_tls && config().tls.early_greeting && !at.relays_greeting;
  if (implicit_tls) {
    const absl::string_view first_words = early ? absl::string_view(greeting) : "";
    const bool done = co_await ShakeHands(first_words);
    if (!done) co_return false;
  }
  EnterPhase(Phase::kLogin);
  ArmDeadline(accepted_at_ + config().timeouts.login);
  TakeCertificate();
  own_backend_ = OwnBackend();
  const int greets = own_backend_ >= 0 ? own_backend_ : at.only_backend;
  if (at.relays_greeting && greets >= 0) {
    const bool relayed = co_await RelayGreeting(static_cast<size_t>(greets));
    co_return relayed;
  }
  if (!early) client_.Queue(greeting);
  co_return true;
}

std::string Session::NewChallenge() const {
  char random[16];
  tls::RandomBytes(random, sizeof(random));
  return pop3::MakeApopChallenge(config().hostname, absl::string_view(random, sizeof(random)));
}

coro::Task<bool> Session::ShakeHands(absl::string_view first_words) {
  const TimeNs started = io_->Now();
  EnterPhase(Phase::kHandshake);
  ArmDeadline(
      std::min(started + config().timeouts.handshake, accepted_at_ + config().timeouts.login));
  // What a neighbour sent in one piece with its PROXY header is the beginning of the handshake. The
  // engine has used it up when it asks for more.
  const std::string early(client_.input());
  client_.ClearInput();
  client_.SetTls(snapshot_->TlsOf(listener_).NewEngine(client_.output()));
  client_.tls()->SetFirstWords(first_words);
  if (!early.empty()) client_.tls()->SetInput(early);
  const Outcome outcome = co_await client_.Handshake();
  if (outcome != Outcome::kOk) {
    EndOnClient(outcome);
    co_return false;
  }
  handshake_time_ = io_->Now() - started;
  CountHandshake();
  co_return true;
}

void Session::CountHandshake() {
  const tls::HandshakeInfo info = client_.tls()->info();
  metrics::ListenerStats& stats = listener_stats();
  stats.tls_versions[static_cast<size_t>(VersionOf(info.version))].Add();
  stats.tls_ciphers[static_cast<size_t>(CipherOf(info.cipher))].Add();
  if (info.resumed) stats.tls_resumed.Add();
  stats.handshake_seconds.Record(handshake_time_);
}

// Talks to the client until it gives credentials or the session is to end. Every reply is sent
// before more is read.
coro::Task<pop3::Decision> Session::NextDecision() {
  pop3::Decision decision;
  for (;;) {
    if (expire_reason_ != CloseReason::kNone) {
      decision.action = pop3::Action::kClose;
      decision.reply = std::string(LastWords(expire_reason_));
      decision.reason = expire_reason_;
      co_return decision;
    }
    size_t consumed = 0;
    const int bad_before = dialogue_->bad_commands();
    decision = dialogue_->OnInput(client_.input(), &consumed);
    client_.ConsumeInput(consumed);
    listener_stats().bad_commands.Add(
        static_cast<uint64_t>(dialogue_->bad_commands() - bad_before));
    Outcome outcome = Outcome::kOk;
    switch (decision.action) {
      case pop3::Action::kLogin:
      case pop3::Action::kSaslResponse:
      case pop3::Action::kSaslAbort:
      case pop3::Action::kClose:
        co_return decision;
      case pop3::Action::kCramChallenge:
        client_.Queue(dialogue_->OnCramChallenge(NewChallenge()));
        break;
      case pop3::Action::kDigestChallenge:
        client_.Queue(ChallengeByDigest());
        break;
      case pop3::Action::kXclient:
        TakeXclient(*decision.xclient);
        [[fallthrough]];
      case pop3::Action::kReply:
        client_.Queue(decision.reply);
        if (client_.queued_bytes() > kQueuedBytesMax) {
          outcome = co_await client_.Flush();
        }
        break;
      case pop3::Action::kStartTls: {
        client_.Queue(decision.reply);
        outcome = co_await client_.Flush();
        if (outcome != Outcome::kOk) break;
        client_.ClearInput();
        if (expire_reason_ != CloseReason::kNone) {
          // The client waits for a handshake: no words can reach it any more.
          decision.action = pop3::Action::kClose;
          decision.reply.clear();
          decision.reason = expire_reason_;
          co_return decision;
        }
        const bool done = co_await ShakeHands("");
        decision.action = pop3::Action::kClose;
        decision.reply.clear();
        decision.reason = reason_;
        if (!done) co_return decision;
        dialogue_->OnTlsStarted();
        TakeCertificate();
        EnterPhase(Phase::kLogin);
        ArmDeadline(accepted_at_ + config().timeouts.login);
        break;
      }
      case pop3::Action::kNeedInput:
        outcome = co_await client_.Flush();
        if (outcome == Outcome::kOk) {
          outcome = co_await client_.ReadMore();
        }
        break;
    }
    // An interrupted read is no end: the reason is looked at above.
    if (outcome == Outcome::kOk || (outcome == Outcome::kStopped && !client_.stopped())) continue;
    EndOnClient(outcome);
    decision.action = pop3::Action::kClose;
    decision.reply.clear();
    decision.reason = reason_;
    co_return decision;
  }
}

}  // namespace postern
