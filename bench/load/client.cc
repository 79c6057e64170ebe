#include "bench/load/client.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/escape.h"
#include "proxy/pop3/reply.h"
#include "proxy/pop3/sasl.h"
#include "tls/digest.h"

namespace postern::load {
namespace {

constexpr size_t kLineBytesMax = 16384;
constexpr DurationNs kLate = 10 * kMillisecond;

// Without a port, so that the kernel may use one port for several targets.
int BindTo(int fd, const SocketAddress& source) {
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  return bind(fd, source.data(), source.length()) == 0 ? 0 : -errno;
}

bool IsTemporary(absl::string_view code) {
  return absl::StartsWith(code, "SYS/") || code == "IN-USE" || code == "LOGIN-DELAY";
}

}  // namespace

Client::Client(ThreadContext* context)
    : context_(context),
      io_(context->io),
      channel_(context->io, context->blocks),
      pause_(&Client::OnPause, this) {}

Client::~Client() { io_->timers().Disarm(&pause_); }

void Client::Start(SessionPlan plan) {
  plan_ = std::move(plan);
  script_ = plan_.script != nullptr ? plan_.script : &plan_.own_script;
  challenge_.clear();
  last_number_ = 0;
  messages_.reset();
  sizes_.clear();
  listed_ = listed_last_ = 0;
  deleted_ = refused_ = false;
  coro::Detach(Run(), &Client::OnDone, this);
}

void Client::OnDone(void* owner) {
  auto* client = static_cast<Client*>(owner);
  client->context_->owner->OnSessionOver(client, client->ending_);
}

void Client::Cancel() { channel_.Stop(/*abortive=*/false); }

coro::Task<void> Client::Run() {
  began_ = MonotonicNow();
  Results& results = *context_->results;
  results.first_start = std::min(results.first_start, began_);
  if (began_ - plan_.intended > kLate) ++results.late;
  ending_ = co_await Converse();
  io_->timers().Disarm(&pause_);
  channel_.Close(/*abortive=*/ending_ != Ending::kGood);
  const TimeNs ended = MonotonicNow();
  ++results.endings[static_cast<size_t>(ending_)];
  if (ending_ == Ending::kGood && !refused_) {
    results.spans[static_cast<size_t>(Span::kSession)].Record(ended - plan_.intended);
  }
  results.last_end = std::max(results.last_end, ended);
}

coro::Task<Ending> Client::Converse() {
  const Ending opened = co_await Open();
  if (opened != Ending::kGood) co_return opened;
  for (const Step& step : *script_) {
    const Ending ending = co_await Perform(&step);
    if (ending != Ending::kGood) co_return ending;
    if (refused_) co_return co_await QuitRefused();
  }
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Open() {
  const Options& options = *context_->options;
  step_ = "connect";
  const int fd = io_->OpenSocket(options.target.family());
  if (fd < 0) co_return Fail(Ending::kSocket, std::strerror(-fd));
  channel_.Attach(fd);
  deadline_ = io_->Now() + options.timeout + PausesOf(*script_);
  channel_.SetDeadline(deadline_);
  if (plan_.source != nullptr) {
    const int error = BindTo(fd, *plan_.source);
    if (error != 0) co_return Fail(Ending::kSocket, std::strerror(-error));
  }
  const Outcome outcome = co_await channel_.Connect(&options.target);
  if (outcome != Outcome::kOk) co_return Judge(outcome);
  Record(Span::kConnect, began_);
  if (options.tls == TargetTls::kImplicit) {
    const Ending ending = co_await ShakeHands();
    if (ending != Ending::kGood) co_return ending;
  }
  const Ending greeted = co_await ReadGreeting();
  if (greeted != Ending::kGood || options.tls != TargetTls::kStls) co_return greeted;
  step_ = "STLS";
  command_ = "STLS\r\n";
  const Ending agreed = co_await Ask(Ending::kTls);
  if (agreed != Ending::kGood) co_return agreed;
  if (!channel_.input().empty()) co_return Fail(Ending::kTls, "bytes behind the answer to STLS");
  co_return co_await ShakeHands();
}

coro::Task<Ending> Client::ShakeHands() {
  step_ = "handshake";
  const TimeNs started = MonotonicNow();
  channel_.SetTls(context_->tls->NewEngine(channel_.output()));
  const Outcome outcome = co_await channel_.Handshake();
  if (outcome != Outcome::kOk) co_return Judge(outcome);
  Record(Span::kHandshake, started);
  CountHandshake();
  co_return Ending::kGood;
}

void Client::CountHandshake() {
  const tls::HandshakeInfo info = channel_.tls()->info();
  Results& results = *context_->results;
  ++results.handshakes;
  if (info.resumed) ++results.resumed;
  ++results.tls[absl::StrCat(info.version, " ", info.cipher, " ", info.group)];
}

coro::Task<Ending> Client::ReadGreeting() {
  step_ = "greeting";
  const TimeNs started = MonotonicNow();
  const Ending ending = co_await ReadLine();
  if (ending != Ending::kGood) co_return ending;
  if (pop3::ParseStatusLine(line_).status != pop3::Status::kOk) {
    co_return Fail(Ending::kGreeting, line_);
  }
  if (context_->options->auth == Auth::kApop) {
    challenge_ = std::string(pop3::FindApopChallenge(line_));
  }
  Record(Span::kGreeting, started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::LogIn() {
  const TimeNs started = MonotonicNow();
  const Ending ending = co_await Prove();
  if (plan_.wrong && ending == Ending::kGood) {
    if (refused_) {
      ++context_->results->refusals;
      Record(Span::kRefusal, started);
      co_return Ending::kGood;
    }
    co_return Fail(Ending::kAccepted, line_);
  }
  if (ending != Ending::kGood) co_return ending;
  ++context_->results->logins;
  Record(Span::kLogin, started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Prove() {
  switch (context_->options->auth) {
    case Auth::kUserPass: {
      step_ = "USER";
      command_ = absl::StrCat("USER ", plan_.user, "\r\n");
      const Ending named = co_await Ask(Ending::kRefused);
      if (named != Ending::kGood || refused_) co_return named;
      step_ = "PASS";
      command_ = absl::StrCat("PASS ", plan_.password, "\r\n");
      break;
    }
    case Auth::kApop: {
      step_ = "APOP";
      if (challenge_.empty()) co_return Fail(Ending::kGreeting, "no challenge in the greeting");
      const absl::StatusOr<std::string> digest = tls::Md5Hex(challenge_, plan_.password);
      if (!digest.ok()) co_return Fail(Ending::kProtocol, digest.status().message());
      command_ = absl::StrCat("APOP ", plan_.user, " ", *digest, "\r\n");
      break;
    }
    case Auth::kPlain: {
      step_ = "AUTH";
      const Secret message = pop3::EncodePlain("", plan_.user, plan_.password);
      command_ = absl::StrCat("AUTH PLAIN ", message.view(), "\r\n");
      break;
    }
  }
  co_return co_await Ask(Ending::kRefused);
}

coro::Task<Ending> Client::Ask(Ending refused) {
  channel_.Queue(command_);
  const Outcome sent = co_await channel_.Flush();
  if (sent != Outcome::kOk) co_return Judge(sent);
  const Ending ending = co_await ReadLine();
  if (ending != Ending::kGood) co_return ending;
  const pop3::StatusLine line = pop3::ParseStatusLine(line_);
  if (line.status == pop3::Status::kOk) co_return Ending::kGood;
  if (line.status != pop3::Status::kErr) co_return Fail(Ending::kProtocol, line_);
  if (IsTemporary(line.code)) co_return Fail(Ending::kTemporary, line_);
  if (plan_.wrong && refused == Ending::kRefused) {
    refused_ = true;
    co_return Ending::kGood;
  }
  co_return Fail(refused, line_);
}

coro::Task<Ending> Client::ReadLine() {
  absl::string_view line;
  size_t consumed = 0;
  while (!pop3::TakeLine(channel_.input(), &line, &consumed)) {
    if (channel_.input().size() > kLineBytesMax) {
      co_return Fail(Ending::kProtocol, "a line without end");
    }
    const Outcome outcome = co_await channel_.ReadMore();
    if (outcome != Outcome::kOk) co_return Judge(outcome);
  }
  line_.assign(line.data(), line.size());
  channel_.ConsumeInput(consumed);
  co_return Ending::kGood;
}

void Client::Record(Span span, TimeNs since) {
  context_->results->spans[static_cast<size_t>(span)].Record(MonotonicNow() - since);
}

Ending Client::Judge(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
    case Outcome::kEnd:
      return Fail(Ending::kClosed, "the server ended the connection");
    case Outcome::kTls:
      return Fail(Ending::kTls, channel_.tls()->error());
    case Outcome::kTimeout:
      return Fail(Ending::kTimeout, "--timeout-s passed");
    case Outcome::kStopped:
      return Fail(Ending::kStopped, "stopped");
    case Outcome::kError:
      break;
  }
  const int error = -channel_.error();
  const absl::string_view step = step_;
  if (step == "connect") {
    const bool local = error == EADDRNOTAVAIL || error == EADDRINUSE;
    return Fail(local ? Ending::kSocket : Ending::kConnect, std::strerror(error));
  }
  const bool reset = error == ECONNRESET || error == EPIPE;
  return Fail(reset ? Ending::kReset : Ending::kClosed, std::strerror(error));
}

Ending Client::Fail(Ending ending, absl::string_view example) {
  std::string& kept = context_->results->examples[static_cast<size_t>(ending)];
  if (kept.empty()) kept = absl::StrCat(step_, ": ", EscapeForLog(example, 200));
  return ending;
}

}  // namespace postern::load
