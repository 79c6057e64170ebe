#include "proxy/upstream_login.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/offer_book.h"
#include "proxy/pop3/proxy_protocol.h"
#include "proxy/pop3/reply.h"
#include "proxy/pop3/sasl.h"
#include "proxy/pop3/xclient.h"
#include "proxy/repeated_secret.h"

namespace postern {
namespace {

using metrics::UpstreamError;

// How long a backend's CAPA is believed.
constexpr DurationNs kCapaLifetime = 600 * kSecond;
// A CAPA response that has not ended by then is no CAPA response.
constexpr int kCapaLinesMax = static_cast<int>(pop3::kCapabilityLinesMax);
// RFC 5034 section 4: an initial response that would make the command longer than 255 octets is
// sent as the answer to an empty challenge.
constexpr size_t kCommandBytesMax = 255;
// A challenge; OAuth servers send JSON of some length.
constexpr size_t kChallengeBytesMax = 12288;

// One step of the dialogue: what the backend said, or why there is nothing.
struct Line {
  Line() = default;
  bool ok = false;
  std::string text;  // without its line end
  pop3::Status status = pop3::Status::kInvalid;
};

class UpstreamDialogue {
 public:
  UpstreamDialogue(UpstreamAttempt* attempt, UpstreamVerdict* verdict)
      : attempt_(attempt), channel_(attempt->channel), verdict_(verdict) {}

  coro::Task<bool> Open();
  void Resume() { TakeGreeting(attempt_->opened_with); }
  coro::Task<bool> LearnCapabilities();
  coro::Task<bool> LogIn();
  coro::Task<bool> Answer(absl::string_view response);

 private:
  coro::Task<bool> Connect();
  coro::Task<bool> SendProxyHeader();
  coro::Task<bool> ShakeHands();
  coro::Task<bool> ReadGreeting();
  bool TakeGreeting(absl::string_view line);
  coro::Task<bool> StartTls();
  coro::Task<bool> LogInWithApop();
  // XCLIENT alone, with its answer; nothing where none is wanted.
  coro::Task<bool> Introduce();
  bool TakeIntroduction(const Line& line);
  // The answer to a step of the login; in front of the first one may stand that to XCLIENT.
  coro::Task<Line> ReadAnswer();
  bool MayPipeline() const;
  size_t LineBytesMax() const {
    return attempt_->sasl_message.empty() ? 8 * pop3::kResponseBytesMax : kChallengeBytesMax;
  }
  coro::Task<bool> LogInWithUserPass();
  coro::Task<bool> LogInWithPlain();
  coro::Task<bool> LogInWithSasl(absl::string_view mechanism, absl::string_view message);
  coro::Task<Line> ReadLine(UpstreamError timeout);
  coro::Task<bool> Send();
  // Notes a failure; always false, so that `co_return Fail(...)` ends a step.
  bool Fail(UpstreamError error, absl::string_view detail);
  bool FailOutcome(Outcome outcome, UpstreamError timeout, absl::string_view step);
  // Before the next command: whether the backend has said what was asked and no more. A line too
  // many would be taken for the answer to that command, and make any password a good one.
  bool NothingBehind(absl::string_view step);
  bool RepeatsSecret(absl::string_view line) const {
    return verdict_->password_sent && postern::RepeatsSecret(*attempt_, line);
  }
  // The line as the log may show it.
  std::string Shown(const Line& line, size_t bytes_max) const;
  bool Judge(const Line& line);
  // Of a carried exchange: a challenge is no verdict yet.
  bool TakeChallenge(const Line& line);
  io::Io* io() const { return channel_->io(); }

  UpstreamAttempt* attempt_;
  Channel* channel_;
  UpstreamVerdict* verdict_;
  bool introduces_ = false;  // XCLIENT stands in front of the login
};

bool UpstreamDialogue::Fail(UpstreamError error, absl::string_view detail) {
  verdict_->kind = UpstreamVerdict::Kind::kFailed;
  verdict_->error = error;
  verdict_->detail = absl::StrCat(attempt_->backend->name, ": ", detail);
  // A wrong certificate, a refused STLS or XCLIENT does not get better by asking again.
  verdict_->retry_same = error != UpstreamError::kTls && error != UpstreamError::kStlsRefused &&
                         error != UpstreamError::kXclient;
  attempt_->stats->errors[static_cast<size_t>(error)].Add();
  return false;
}

bool UpstreamDialogue::FailOutcome(Outcome outcome, UpstreamError timeout, absl::string_view step) {
  switch (outcome) {
    case Outcome::kTimeout:
      return Fail(timeout, absl::StrCat(step, ": timeout"));
    case Outcome::kEnd:
      return Fail(UpstreamError::kClosed, absl::StrCat(step, ": connection closed"));
    case Outcome::kTls:
      return Fail(UpstreamError::kTls, absl::StrCat(step, ": ", channel_->tls()->error()));
    case Outcome::kStopped:
      return Fail(UpstreamError::kClosed, absl::StrCat(step, ": given up"));
    case Outcome::kError:
    case Outcome::kOk:
      break;
  }
  return Fail(UpstreamError::kClosed, absl::StrCat(step, ": ", std::strerror(-channel_->error())));
}

bool UpstreamDialogue::NothingBehind(absl::string_view step) {
  if (channel_->input().empty()) return true;
  return Fail(UpstreamError::kExtraLines, absl::StrCat("unasked-for bytes behind ", step));
}

coro::Task<bool> UpstreamDialogue::Connect() {
  const TimeNs started = io()->Now();
  attempt_->stats->connects.Add();
  const int fd = io()->OpenSocket(attempt_->address.family());
  if (fd < 0) co_return Fail(UpstreamError::kLocal, absl::StrCat("socket: ", std::strerror(-fd)));
  channel_->Attach(fd);
  const Outcome outcome = co_await channel_->Connect(&attempt_->address);
  if (outcome == Outcome::kError) {
    const int error = -channel_->error();
    // Only a connection that was there can be reset: the server took it and dropped it before this
    // side had heard that it took it.
    if (error == ECONNRESET || error == EPIPE) {
      co_return FailOutcome(outcome, UpstreamError::kClosed, "greeting");
    }
    const bool refused = error == ECONNREFUSED || error == ENOENT;
    const bool local = error == ENOMEM || error == ENOBUFS || error == EADDRNOTAVAIL;
    co_return Fail(
        refused ? UpstreamError::kRefused
        : local ? UpstreamError::kLocal
                : UpstreamError::kUnreachable,
        absl::StrCat("connect to ", attempt_->address.ToString(), ": ", std::strerror(error)));
  }
  if (outcome != Outcome::kOk) {
    co_return FailOutcome(outcome, UpstreamError::kConnectTimeout,
                          absl::StrCat("connect to ", attempt_->address.ToString()));
  }
  attempt_->stats->connect_seconds.Record(io()->Now() - started);
  co_return true;
}

// In one write and in front of everything else, TLS too.
coro::Task<bool> UpstreamDialogue::SendProxyHeader() {
  const bool v1 = attempt_->backend->proxy_protocol == config::UpstreamProxy::kV1;
  channel_->Queue(v1 ? pop3::WriteProxyV1(attempt_->identity)
                     : pop3::WriteProxyV2(attempt_->identity, attempt_->session));
  const Outcome outcome = co_await channel_->Flush();
  if (outcome == Outcome::kOk) co_return true;
  co_return FailOutcome(outcome, UpstreamError::kGreetingTimeout, "PROXY header");
}

coro::Task<bool> UpstreamDialogue::ShakeHands() {
  channel_->SetTls(attempt_->tls->NewEngine(channel_->output()));
  const Outcome outcome = co_await channel_->Handshake();
  if (outcome == Outcome::kOk) co_return true;
  co_return FailOutcome(outcome, UpstreamError::kGreetingTimeout, "TLS handshake");
}

coro::Task<Line> UpstreamDialogue::ReadLine(UpstreamError timeout) {
  Line line;
  for (;;) {
    absl::string_view text;
    size_t consumed = 0;
    if (pop3::TakeLine(channel_->input(), &text, &consumed)) {
      line.ok = true;
      line.text = std::string(text);
      line.status = pop3::ParseStatusLine(text).status;
      channel_->ConsumeInput(consumed);
      co_return line;
    }
    if (channel_->input().size() > LineBytesMax()) {
      Fail(timeout == UpstreamError::kGreetingTimeout ? UpstreamError::kBadGreeting
                                                      : UpstreamError::kBadReply,
           "a line without end");
      co_return line;
    }
    const Outcome outcome = co_await channel_->ReadMore();
    if (outcome != Outcome::kOk) {
      FailOutcome(outcome, timeout,
                  timeout == UpstreamError::kGreetingTimeout ? "greeting" : "login");
      co_return line;
    }
  }
}

coro::Task<bool> UpstreamDialogue::Send() {
  const Outcome outcome = co_await channel_->Flush();
  if (outcome == Outcome::kOk) co_return true;
  co_return FailOutcome(outcome, UpstreamError::kLoginTimeout, "login");
}

coro::Task<bool> UpstreamDialogue::ReadGreeting() {
  const Line line = co_await ReadLine(UpstreamError::kGreetingTimeout);
  if (!line.ok) co_return false;
  if (attempt_->greeting != nullptr) *attempt_->greeting = line.text;
  if (line.status != pop3::Status::kOk) {
    co_return Fail(UpstreamError::kBadGreeting,
                   absl::StrCat("greeting: \"", EscapeForLog(line.text, 80), "\""));
  }
  if (!TakeGreeting(line.text)) co_return false;
  co_return NothingBehind("the greeting");
}

bool UpstreamDialogue::TakeGreeting(absl::string_view line) {
  if (attempt_->backend->xclient == config::UpstreamXclient::kOff) return true;
  introduces_ = pop3::AnnouncesXclient(line);
  if (introduces_ || attempt_->backend->xclient != config::UpstreamXclient::kOn) return true;
  return Fail(UpstreamError::kXclient, "the greeting does not announce XCLIENT");
}

coro::Task<bool> UpstreamDialogue::StartTls() {
  channel_->Queue("STLS\r\n");
  const bool sent = co_await Send();
  if (!sent) co_return false;
  const Line line = co_await ReadLine(UpstreamError::kGreetingTimeout);
  if (!line.ok) co_return false;
  if (line.status != pop3::Status::kOk) {
    co_return Fail(UpstreamError::kStlsRefused,
                   absl::StrCat("STLS: \"", EscapeForLog(line.text, 80), "\""));
  }
  // Plaintext in front of the handshake is an injection (CVE-2021-39272 and its family).
  if (!NothingBehind("the answer to STLS")) co_return false;
  const bool done = co_await ShakeHands();
  co_return done;
}

coro::Task<bool> UpstreamDialogue::LearnCapabilities() {
  channel_->Queue("CAPA\r\n");
  const bool sent = co_await Send();
  if (!sent) co_return false;
  bool pipelining = false;
  pop3::CapabilityLines heard;
  Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
  if (!line.ok) co_return false;
  if (line.status == pop3::Status::kInvalid) {
    co_return Fail(UpstreamError::kBadReply, "no answer to CAPA");
  }
  // One that takes the PROXY header for a command has an answer more than we have questions, and
  // from then on each of its words would be taken for another's. Asked once more, it shows: a
  // server without CAPA refuses again, but behind the refusal of a header comes the answer to CAPA.
  if (line.status == pop3::Status::kErr &&
      attempt_->backend->proxy_protocol != config::UpstreamProxy::kOff) {
    channel_->Queue("CAPA\r\n");
    const bool again = co_await Send();
    if (!again) co_return false;
    line = co_await ReadLine(UpstreamError::kLoginTimeout);
    if (!line.ok) co_return false;
    if (line.status != pop3::Status::kErr) {
      co_return Fail(UpstreamError::kBadReply,
                     "refuses the PROXY header as a command; does it expect one?");
    }
  }
  if (line.status == pop3::Status::kErr && !attempt_->opened_with.empty() &&
      attempt_->memory->knows_capa) {
    co_return Fail(UpstreamError::kClosed, "has no more time for a connection that waited");
  }
  if (line.status == pop3::Status::kOk) {
    int lines = 0;
    for (;;) {
      line = co_await ReadLine(UpstreamError::kLoginTimeout);
      if (!line.ok) co_return false;
      if (line.text == ".") break;
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(line.text), "PIPELINING")) {
        pipelining = true;
      }
      if (pop3::IsCapabilityText(line.text)) heard.push_back(line.text);
      if (++lines > kCapaLinesMax) {
        co_return Fail(UpstreamError::kBadReply, "CAPA without end");
      }
    }
  }
  if (!NothingBehind("the answer to CAPA")) co_return false;
  // A server that knows no CAPA says nothing about what it can do.
  if (attempt_->offers != nullptr && line.text == ".") {
    attempt_->offers->Learn(attempt_->backend_index, std::move(heard));
  }
  attempt_->memory->pipelining = pipelining;
  attempt_->memory->knows_capa = line.text == ".";
  attempt_->memory->capa_read_at = io()->Now();
  co_return true;
}

std::string UpstreamDialogue::Shown(const Line& line, size_t bytes_max) const {
  if (RepeatsSecret(line.text)) return "an answer that repeats the password, which is not shown";
  return absl::StrCat("\"", EscapeForLog(line.text, bytes_max), "\"");
}

bool UpstreamDialogue::Judge(const Line& line) {
  if (line.status != pop3::Status::kOk && line.status != pop3::Status::kErr) {
    return Fail(UpstreamError::kBadReply, absl::StrCat("login: ", Shown(line, 80)));
  }
  verdict_->kind = line.status == pop3::Status::kOk ? UpstreamVerdict::Kind::kAccepted
                                                    : UpstreamVerdict::Kind::kRefused;
  // The password that the user has shown is no secret to the user; any other is.
  const bool hide = attempt_->foreign_password && RepeatsSecret(line.text);
  const absl::string_view bare = line.status == pop3::Status::kOk ? "+OK" : "";
  verdict_->reply = pop3::CleanReply(hide ? bare : line.text);
  if (line.status == pop3::Status::kOk) return true;
  verdict_->detail = absl::StrCat(attempt_->backend->name, ": ", Shown(line, 120));
  return false;
}

bool UpstreamDialogue::MayPipeline() const {
  return attempt_->backend->pipelining == config::Pipelining::kOn ||
         (attempt_->backend->pipelining == config::Pipelining::kAuto &&
          attempt_->memory->pipelining);
}

bool UpstreamDialogue::TakeIntroduction(const Line& line) {
  introduces_ = false;
  if (line.status == pop3::Status::kOk) return true;
  return Fail(UpstreamError::kXclient,
              absl::StrCat("XCLIENT: \"", EscapeForLog(line.text, 80), "\""));
}

coro::Task<bool> UpstreamDialogue::Introduce() {
  // A check of ours speaks for nobody.
  if (attempt_->identity.client.empty()) introduces_ = false;
  if (!introduces_) co_return true;
  channel_->Queue(pop3::WriteXclient(attempt_->identity, attempt_->session));
  if (MayPipeline()) co_return true;  // the login follows at once, and the answers in order
  const bool sent = co_await Send();
  if (!sent) co_return false;
  const Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
  if (!line.ok) co_return false;
  if (!TakeIntroduction(line)) co_return false;
  co_return NothingBehind("the answer to XCLIENT");
}

coro::Task<Line> UpstreamDialogue::ReadAnswer() {
  if (introduces_) {
    Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
    if (!line.ok) co_return line;
    line.ok = TakeIntroduction(line);
    if (!line.ok) co_return line;
  }
  Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
  co_return line;
}

coro::Task<bool> UpstreamDialogue::LogInWithUserPass() {
  const bool pipelining = MayPipeline();
  channel_->Queue("USER ");
  channel_->Queue(attempt_->user);
  channel_->Queue("\r\n");
  if (!pipelining) {
    const bool sent = co_await Send();
    if (!sent) co_return false;
    const Line line = co_await ReadAnswer();
    if (!line.ok) co_return false;
    if (line.status != pop3::Status::kOk) co_return Judge(line);
    if (!NothingBehind("the answer to USER")) co_return false;
  }
  channel_->Queue("PASS ");
  channel_->Queue(attempt_->password);
  channel_->Queue("\r\n");
  verdict_->password_sent = true;
  const bool sent = co_await Send();
  if (!sent) co_return false;
  if (pipelining) {
    const Line line = co_await ReadAnswer();
    if (!line.ok) co_return false;
    if (line.status != pop3::Status::kOk) {
      attempt_->stays = false;  // the answer to PASS follows, and says nothing new
      co_return Judge(line);
    }
  }
  const Line line = co_await ReadAnswer();
  if (!line.ok) co_return false;
  co_return Judge(line);
}

coro::Task<bool> UpstreamDialogue::LogInWithApop() {
  for (const absl::string_view part :
       {absl::string_view("APOP "), attempt_->user, absl::string_view(" "), attempt_->apop_digest,
        absl::string_view("\r\n")}) {
    channel_->Queue(part);
  }
  verdict_->password_sent = true;
  const bool sent = co_await Send();
  if (!sent) co_return false;
  const Line line = co_await ReadAnswer();
  if (!line.ok) co_return false;
  co_return Judge(line);
}

coro::Task<bool> UpstreamDialogue::LogInWithPlain() {
  const Secret message =
      pop3::EncodePlain(attempt_->authorization_id, attempt_->user, attempt_->password);
  co_return co_await LogInWithSasl("PLAIN", message.view());
}

coro::Task<bool> UpstreamDialogue::LogInWithSasl(absl::string_view mechanism,
                                                 absl::string_view message) {
  constexpr absl::string_view kCommand = "AUTH ";
  channel_->Queue(kCommand);
  channel_->Queue(mechanism);
  if (kCommand.size() + mechanism.size() + 1 + message.size() + 2 > kCommandBytesMax) {
    channel_->Queue("\r\n");
    const bool sent = co_await Send();
    if (!sent) co_return false;
    const Line line = co_await ReadAnswer();
    if (!line.ok) co_return false;
    if (line.status != pop3::Status::kContinue) co_return Judge(line);
    if (!NothingBehind("the challenge")) co_return false;
  } else {
    channel_->Queue(" ");
  }
  channel_->Queue(message);
  channel_->Queue("\r\n");
  verdict_->password_sent = true;
  const bool sent = co_await Send();
  if (!sent) co_return false;
  const Line line = co_await ReadAnswer();
  if (!line.ok) co_return false;
  if (!attempt_->sasl_message.empty()) co_return TakeChallenge(line);
  co_return Judge(line);
}

bool UpstreamDialogue::TakeChallenge(const Line& line) {
  if (line.status != pop3::Status::kContinue) return Judge(line);
  // RFC 5034 section 4: base64 behind "+ ". Nothing else is for the client's eyes.
  const absl::string_view challenge = pop3::ParseStatusLine(line.text).text;
  if (!pop3::DecodeBase64(challenge).ok()) {
    return Fail(UpstreamError::kBadReply, "login: a challenge that is no base64");
  }
  if (!NothingBehind("a challenge")) return false;
  verdict_->kind = UpstreamVerdict::Kind::kChallenge;
  verdict_->reply = absl::StrCat("+ ", challenge, "\r\n");
  return false;
}

coro::Task<bool> UpstreamDialogue::Answer(absl::string_view response) {
  verdict_->password_sent = true;
  channel_->Queue(response);
  channel_->Queue("\r\n");
  const bool sent = co_await Send();
  if (!sent) co_return false;
  const Line line = co_await ReadAnswer();
  if (!line.ok) co_return false;
  co_return TakeChallenge(line);
}

coro::Task<bool> UpstreamDialogue::LogIn() {
  const TimeNs started = io()->Now();
  const bool introduced = co_await Introduce();
  if (!introduced) co_return false;
  const bool plain = attempt_->backend->mechanism == config::UpstreamMechanism::kAuthPlain ||
                     !attempt_->authorization_id.empty() || attempt_->mechanism == "PLAIN";
  bool accepted = false;
  if (!attempt_->apop_digest.empty()) {
    accepted = co_await LogInWithApop();
  } else if (!attempt_->sasl_message.empty()) {
    accepted = co_await LogInWithSasl(attempt_->mechanism, attempt_->sasl_message);
  } else if (plain) {
    accepted = co_await LogInWithPlain();
  } else {
    accepted = co_await LogInWithUserPass();
  }
  // A carried exchange takes the client's time, too, and backends are not compared by it.
  const bool judged = verdict_->kind == UpstreamVerdict::Kind::kAccepted ||
                      verdict_->kind == UpstreamVerdict::Kind::kRefused;
  if (judged) attempt_->stats->login_seconds.Record(io()->Now() - started);
  if (verdict_->kind == UpstreamVerdict::Kind::kAccepted) {
    attempt_->stats->accepted.Record(io()->Now() - started);
  } else if (absl::StartsWithIgnoreCase(pop3::ParseStatusLine(verdict_->reply).code, "SYS/")) {
    attempt_->stats->sys_refusals.Add();
  }
  co_return accepted;
}

void SetStepDeadline(UpstreamAttempt* attempt, DurationNs from_now) {
  Channel* channel = attempt->channel;
  channel->SetDeadline(std::min(attempt->deadline, channel->io()->Now() + from_now));
}

// Up to where credentials may be sent, or to the goal if that comes first.
coro::Task<bool> UpstreamDialogue::Open() {
  SetStepDeadline(attempt_, attempt_->timeouts->upstream_connect);
  bool ok = co_await Connect();
  if (!ok) co_return false;
  const TimeNs connected = io()->Now();
  SetStepDeadline(attempt_, attempt_->timeouts->upstream_greeting);
  if (attempt_->backend->proxy_protocol != config::UpstreamProxy::kOff) {
    ok = co_await SendProxyHeader();
    if (!ok) co_return false;
  }
  if (attempt_->goal == UpstreamGoal::kConnected) co_return true;
  if (attempt_->backend->tls == config::UpstreamTls::kImplicit) {
    ok = co_await ShakeHands();
    if (!ok) co_return false;
  }
  ok = co_await ReadGreeting();
  if (!ok) co_return false;
  attempt_->stats->greeting_seconds.Record(io()->Now() - connected);
  attempt_->stats->greetings.Record(io()->Now() - connected);
  if (attempt_->goal == UpstreamGoal::kGreeted) co_return true;
  if (attempt_->backend->tls == config::UpstreamTls::kStls) co_return co_await StartTls();
  co_return true;
}

// Whether the backend must be asked for its capabilities before this login.
bool MustAskCapabilities(const UpstreamAttempt& attempt) {
  const TimeNs read_at = attempt.memory->capa_read_at;
  const bool stale = read_at == 0 || attempt.channel->io()->Now() - read_at > kCapaLifetime;
  if (attempt.offers != nullptr && attempt.offers->learns()) return stale;
  if (attempt.backend->proxy_protocol != config::UpstreamProxy::kOff) return stale;
  if (attempt.backend->pipelining != config::Pipelining::kAuto) return false;
  // AUTH PLAIN is one write anyway; with XCLIENT in front of it, it may become one.
  const bool one_write = attempt.backend->mechanism != config::UpstreamMechanism::kUserPass ||
                         !attempt.authorization_id.empty() || !attempt.sasl_message.empty() ||
                         attempt.mechanism == "PLAIN";
  if (one_write && attempt.backend->xclient == config::UpstreamXclient::kOff) return false;
  return stale;
}

// One login as the protocol has it, top to bottom.
coro::Task<bool> RunDialogue(UpstreamDialogue* dialogue, UpstreamAttempt* attempt) {
  const bool waited = !attempt->opened_with.empty();
  bool ok = true;
  if (waited) {
    dialogue->Resume();
  } else {
    ok = co_await dialogue->Open();
  }
  if (!ok) co_return false;
  if (attempt->goal <= UpstreamGoal::kSecured) co_return true;
  SetStepDeadline(attempt, attempt->timeouts->upstream_login);
  // One that went away while its connection waited shows here, before it is given a password.
  if (waited || attempt->goal == UpstreamGoal::kCapabilities || MustAskCapabilities(*attempt)) {
    ok = co_await dialogue->LearnCapabilities();
    if (!ok) co_return false;
  }
  if (attempt->goal == UpstreamGoal::kCapabilities) co_return true;
  ok = co_await dialogue->LogIn();
  co_return ok;
}

// Leaves the channel as its next user expects it.
void Conclude(UpstreamAttempt* attempt, bool accepted, UpstreamVerdict* verdict) {
  Channel* channel = attempt->channel;
  if (accepted) {
    verdict->kind = UpstreamVerdict::Kind::kAccepted;
    channel->SetDeadline(kNever);
    // One that will be logged in yet stays as careful as it is.
    if (attempt->goal != UpstreamGoal::kSecured) channel->set_sensitive(false);
  } else if (verdict->kind == UpstreamVerdict::Kind::kChallenge ||
             (verdict->kind == UpstreamVerdict::Kind::kRefused && attempt->stays)) {
    channel->SetDeadline(kNever);
  } else {
    channel->Stop(/*abortive=*/false);
  }
}

}  // namespace

coro::Task<UpstreamVerdict> LogInUpstream(UpstreamAttempt* attempt) {
  UpstreamVerdict verdict;
  UpstreamDialogue dialogue(attempt, &verdict);
  attempt->channel->set_sensitive(true);
  const bool accepted = co_await RunDialogue(&dialogue, attempt);
  Conclude(attempt, accepted, &verdict);
  co_return verdict;
}

coro::Task<UpstreamVerdict> AnswerChallenge(UpstreamAttempt* attempt, absl::string_view response) {
  UpstreamVerdict verdict;
  UpstreamDialogue dialogue(attempt, &verdict);
  SetStepDeadline(attempt, attempt->timeouts->upstream_login);
  attempt->sasl_response = response;
  const bool accepted = co_await dialogue.Answer(response);
  attempt->sasl_response = {};
  Conclude(attempt, accepted, &verdict);
  co_return verdict;
}

}  // namespace postern
