#include "proxy/upstream_login.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/pop3/reply.h"
#include "proxy/pop3/sasl.h"

namespace postern {
namespace {

using metrics::UpstreamError;

// How long a backend's CAPA is believed.
constexpr DurationNs kCapaLifetime = 600 * kSecond;
// A CAPA response that has not ended by then is no CAPA response.
constexpr int kCapaLinesMax = 64;
// RFC 5034 section 4: an initial response that would make the command longer than 255 octets is
// sent as the answer to an empty challenge.
constexpr size_t kCommandBytesMax = 255;

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

  coro::Task<bool> Connect();
  coro::Task<bool> ShakeHands();
  coro::Task<bool> ReadGreeting();
  coro::Task<bool> StartTls();
  coro::Task<bool> LearnCapabilities();
  coro::Task<bool> LogIn();

 private:
  coro::Task<bool> LogInWithUserPass();
  coro::Task<bool> LogInWithPlain();
  coro::Task<Line> ReadLine(UpstreamError timeout);
  coro::Task<bool> Send();
  // Notes a failure; always false, so that `co_return Fail(...)` ends a step.
  bool Fail(UpstreamError error, absl::string_view detail);
  bool FailOutcome(Outcome outcome, UpstreamError timeout, absl::string_view step);
  // Before the next command: whether the backend has said what was asked and no more. A line too
  // many would be taken for the answer to that command, and make any password a good one.
  bool NothingBehind(absl::string_view step);
  bool Judge(const Line& line);
  io::Io* io() const { return channel_->io(); }

  UpstreamAttempt* attempt_;
  Channel* channel_;
  UpstreamVerdict* verdict_;
};

bool UpstreamDialogue::Fail(UpstreamError error, absl::string_view detail) {
  verdict_->kind = UpstreamVerdict::Kind::kFailed;
  verdict_->error = error;
  verdict_->detail = absl::StrCat(attempt_->backend->name, ": ", detail);
  // A wrong certificate or a refused STLS does not get better by asking again.
  verdict_->retry_same = error != UpstreamError::kTls && error != UpstreamError::kStlsRefused;
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
    if (channel_->input().size() > 8 * pop3::kResponseBytesMax) {
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
  if (line.status != pop3::Status::kOk) {
    co_return Fail(UpstreamError::kBadGreeting,
                   absl::StrCat("greeting: \"", EscapeForLog(line.text, 80), "\""));
  }
  co_return NothingBehind("the greeting");
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
  Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
  if (!line.ok) co_return false;
  if (line.status == pop3::Status::kInvalid) {
    co_return Fail(UpstreamError::kBadReply, "no answer to CAPA");
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
      if (++lines > kCapaLinesMax) {
        co_return Fail(UpstreamError::kBadReply, "CAPA without end");
      }
    }
  }
  if (!NothingBehind("the answer to CAPA")) co_return false;
  attempt_->memory->pipelining = pipelining;
  attempt_->memory->capa_read_at = io()->Now();
  co_return true;
}

bool UpstreamDialogue::Judge(const Line& line) {
  if (line.status != pop3::Status::kOk && line.status != pop3::Status::kErr) {
    return Fail(UpstreamError::kBadReply,
                absl::StrCat("login: \"", EscapeForLog(line.text, 80), "\""));
  }
  verdict_->kind = line.status == pop3::Status::kOk ? UpstreamVerdict::Kind::kAccepted
                                                    : UpstreamVerdict::Kind::kRefused;
  verdict_->reply = pop3::CleanReply(line.text);
  if (line.status == pop3::Status::kErr) {
    verdict_->detail =
        absl::StrCat(attempt_->backend->name, ": \"", EscapeForLog(line.text, 120), "\"");
  }
  return line.status == pop3::Status::kOk;
}

coro::Task<bool> UpstreamDialogue::LogInWithUserPass() {
  const bool pipelining =
      attempt_->backend->pipelining == config::Pipelining::kOn ||
      (attempt_->backend->pipelining == config::Pipelining::kAuto && attempt_->memory->pipelining);
  channel_->Queue("USER ");
  channel_->Queue(attempt_->user);
  channel_->Queue("\r\n");
  if (!pipelining) {
    const bool sent = co_await Send();
    if (!sent) co_return false;
    const Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
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
    const Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
    if (!line.ok) co_return false;
    // The answer to PASS follows and says nothing new.
    if (line.status != pop3::Status::kOk) co_return Judge(line);
  }
  const Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
  if (!line.ok) co_return false;
  co_return Judge(line);
}

coro::Task<bool> UpstreamDialogue::LogInWithPlain() {
  const Secret message =
      pop3::EncodePlain(attempt_->authorization_id, attempt_->user, attempt_->password);
  const absl::string_view command = "AUTH PLAIN";
  channel_->Queue(command);
  if (command.size() + 1 + message.size() + 2 > kCommandBytesMax) {
    channel_->Queue("\r\n");
    const bool sent = co_await Send();
    if (!sent) co_return false;
    const Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
    if (!line.ok) co_return false;
    if (line.status != pop3::Status::kContinue) co_return Judge(line);
    if (!NothingBehind("the challenge")) co_return false;
  } else {
    channel_->Queue(" ");
  }
  channel_->Queue(message.view());
  channel_->Queue("\r\n");
  verdict_->password_sent = true;
  const bool sent = co_await Send();
  if (!sent) co_return false;
  const Line line = co_await ReadLine(UpstreamError::kLoginTimeout);
  if (!line.ok) co_return false;
  co_return Judge(line);
}

coro::Task<bool> UpstreamDialogue::LogIn() {
  const TimeNs started = io()->Now();
  const bool plain = attempt_->backend->mechanism == config::UpstreamMechanism::kAuthPlain ||
                     !attempt_->authorization_id.empty();
  bool accepted = false;
  if (plain) {
    accepted = co_await LogInWithPlain();
  } else {
    accepted = co_await LogInWithUserPass();
  }
  if (verdict_->kind != UpstreamVerdict::Kind::kFailed) {
    attempt_->stats->login_seconds.Record(io()->Now() - started);
  }
  co_return accepted;
}

void SetStepDeadline(UpstreamAttempt* attempt, DurationNs from_now) {
  Channel* channel = attempt->channel;
  channel->SetDeadline(std::min(attempt->deadline, channel->io()->Now() + from_now));
}

// Whether the backend must be asked for its capabilities before this login.
bool MustAskCapabilities(const UpstreamAttempt& attempt) {
  if (attempt.backend->pipelining != config::Pipelining::kAuto) return false;
  if (attempt.backend->mechanism != config::UpstreamMechanism::kUserPass) return false;
  if (!attempt.authorization_id.empty()) return false;
  const TimeNs read_at = attempt.memory->capa_read_at;
  return read_at == 0 || attempt.channel->io()->Now() - read_at > kCapaLifetime;
}

// One login as the protocol has it, top to bottom.
coro::Task<bool> RunDialogue(UpstreamDialogue* dialogue, UpstreamAttempt* attempt) {
  io::Io* io = attempt->channel->io();
  SetStepDeadline(attempt, attempt->timeouts->upstream_connect);
  bool ok = co_await dialogue->Connect();
  if (!ok) co_return false;
  if (attempt->goal == UpstreamGoal::kConnected) co_return true;
  const TimeNs connected = io->Now();
  SetStepDeadline(attempt, attempt->timeouts->upstream_greeting);
  if (attempt->backend->tls == config::UpstreamTls::kImplicit) {
    ok = co_await dialogue->ShakeHands();
    if (!ok) co_return false;
  }
  ok = co_await dialogue->ReadGreeting();
  if (!ok) co_return false;
  attempt->stats->greeting_seconds.Record(io->Now() - connected);
  if (attempt->goal == UpstreamGoal::kGreeted) co_return true;
  if (attempt->backend->tls == config::UpstreamTls::kStls) {
    ok = co_await dialogue->StartTls();
    if (!ok) co_return false;
  }
  if (attempt->goal == UpstreamGoal::kSecured) co_return true;
  SetStepDeadline(attempt, attempt->timeouts->upstream_login);
  if (attempt->goal == UpstreamGoal::kCapabilities || MustAskCapabilities(*attempt)) {
    ok = co_await dialogue->LearnCapabilities();
    if (!ok) co_return false;
  }
  if (attempt->goal == UpstreamGoal::kCapabilities) co_return true;
  ok = co_await dialogue->LogIn();
  co_return ok;
}

}  // namespace

coro::Task<UpstreamVerdict> LogInUpstream(UpstreamAttempt* attempt) {
  UpstreamVerdict verdict;
  UpstreamDialogue dialogue(attempt, &verdict);
  attempt->channel->set_sensitive(true);
  const bool accepted = co_await RunDialogue(&dialogue, attempt);
  if (accepted) {
    verdict.kind = UpstreamVerdict::Kind::kAccepted;
    attempt->channel->SetDeadline(kNever);
    attempt->channel->set_sensitive(false);
  } else {
    attempt->channel->Stop(/*abortive=*/false);
  }
  co_return verdict;
}

}  // namespace postern
