#include "bench/load/client.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/maildrop/message.h"
#include "proxy/base/escape.h"
#include "proxy/pop3/reply.h"

namespace postern::load {
namespace {

constexpr size_t kLineBytesMax = 16384;

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

void Client::Start(std::string user, const SocketAddress* source, TimeNs intended) {
  user_ = std::move(user);
  source_ = source;
  intended_ = intended;
  coro::Detach(Run(), &Client::OnDone, this);
}

void Client::OnDone(void* owner) {
  auto* client = static_cast<Client*>(owner);
  client->context_->owner->OnSessionOver(client);
}

void Client::Cancel() { channel_.Stop(/*abortive=*/false); }

coro::Task<void> Client::Run() {
  began_ = MonotonicNow();
  Results& results = *context_->results;
  results.first_start = std::min(results.first_start, began_);
  if (began_ - intended_ > 10 * kMillisecond && context_->options->rate > 0) ++results.late;
  last_number_ = 0;
  const Ending ending = co_await Converse();
  io_->timers().Disarm(&pause_);
  channel_.Close(/*abortive=*/ending != Ending::kGood);
  const TimeNs ended = MonotonicNow();
  ++results.endings[static_cast<size_t>(ending)];
  if (ending == Ending::kGood) {
    results.spans[static_cast<size_t>(Span::kSession)].Record(ended - intended_);
  }
  results.last_end = std::max(results.last_end, ended);
}

coro::Task<Ending> Client::Converse() {
  const Script script = context_->options->script;
  Ending ending = co_await Open();
  if (ending == Ending::kGood && script != Script::kHandshake) {
    ending = co_await LogIn();
  }
  if (ending == Ending::kGood && script == Script::kPoll) {
    step_ = "STAT";
    command_ = "STAT\r\n";
    ending = co_await Ask(Ending::kProtocol);
  }
  if (ending == Ending::kGood && script == Script::kFetch) {
    ending = co_await Fetch();
  }
  if (ending == Ending::kGood && script == Script::kIdle) {
    ending = co_await Hold();
  }
  if (ending == Ending::kGood) {
    ending = co_await Quit();
  }
  co_return ending;
}

coro::Task<Ending> Client::Open() {
  const Options& options = *context_->options;
  step_ = "connect";
  const int fd = io_->OpenSocket(options.target.family());
  if (fd < 0) co_return Fail(Ending::kSocket, std::strerror(-fd));
  channel_.Attach(fd);
  const DurationNs hold = options.script == Script::kIdle ? options.hold : 0;
  channel_.SetDeadline(io_->Now() + options.timeout + hold);
  if (source_ != nullptr) {
    const int error = BindTo(fd, *source_);
    if (error != 0) co_return Fail(Ending::kSocket, std::strerror(-error));
  }
  const Outcome outcome = co_await channel_.Connect(&options.target);
  if (outcome != Outcome::kOk) co_return Judge(outcome);
  context_->results->spans[static_cast<size_t>(Span::kConnect)].Record(MonotonicNow() - began_);
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
  context_->results->spans[static_cast<size_t>(Span::kHandshake)].Record(MonotonicNow() - started);
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
  context_->results->spans[static_cast<size_t>(Span::kGreeting)].Record(MonotonicNow() - started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::LogIn() {
  const TimeNs started = MonotonicNow();
  step_ = "USER";
  command_ = absl::StrCat("USER ", user_, "\r\n");
  const Ending named = co_await Ask(Ending::kRefused);
  if (named != Ending::kGood) co_return named;
  step_ = "PASS";
  command_ = absl::StrCat("PASS ", context_->options->password, "\r\n");
  const Ending ending = co_await Ask(Ending::kRefused);
  if (ending != Ending::kGood) co_return ending;
  context_->results->spans[static_cast<size_t>(Span::kLogin)].Record(MonotonicNow() - started);
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Fetch() {
  const Options& options = *context_->options;
  step_ = "STAT";
  command_ = "STAT\r\n";
  const Ending counted = co_await Ask(Ending::kProtocol);
  if (counted != Ending::kGood) co_return counted;
  const std::vector<absl::string_view> words = absl::StrSplit(line_, ' ');
  uint64_t messages = 0;
  if (words.size() < 3 || !absl::SimpleAtoi(words[1], &messages)) {
    co_return Fail(Ending::kProtocol, line_);
  }
  messages = std::min(messages, options.fetch_max);
  for (uint64_t index = 1; index <= messages; ++index) {
    const Ending fetched = co_await Retrieve(index);
    if (fetched != Ending::kGood) co_return fetched;
    if (!options.remove) continue;
    step_ = "DELE";
    command_ = absl::StrCat("DELE ", index, "\r\n");
    const Ending removed = co_await Ask(Ending::kProtocol);
    if (removed != Ending::kGood) co_return removed;
  }
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Retrieve(uint64_t index) {
  using Verdict = maildrop::MessageVerifier::Verdict;
  const TimeNs started = MonotonicNow();
  step_ = "RETR";
  command_ = absl::StrCat("RETR ", index, "\r\n");
  const Ending asked = co_await Ask(Ending::kProtocol);
  if (asked != Ending::kGood) co_return asked;
  maildrop::MessageVerifier verifier(user_);
  Results& results = *context_->results;
  Verdict verdict = Verdict::kMore;
  for (;;) {
    size_t consumed = 0;
    verdict = verifier.OnInput(channel_.input(), &consumed);
    results.message_bytes += consumed;
    channel_.ConsumeInput(consumed);
    if (verdict != Verdict::kMore) break;
    const Outcome outcome = co_await channel_.ReadMore();
    if (outcome != Outcome::kOk) co_return Judge(outcome);
  }
  if (verdict == Verdict::kCorrupt) {
    co_return Fail(Ending::kCorrupt, absl::StrCat("message ", index, ": ", verifier.problem()));
  }
  ++results.messages;
  results.spans[static_cast<size_t>(Span::kRetrieve)].Record(MonotonicNow() - started);
  if (verdict == Verdict::kUnverified) co_return Ending::kGood;
  // Deletions make gaps, but the order of the numbers stays.
  if (verifier.number() < index || verifier.number() <= last_number_) {
    co_return Fail(Ending::kCorrupt, absl::StrCat("message ", index, ": it is message number ",
                                                  verifier.number(), " of the store"));
  }
  last_number_ = verifier.number();
  ++results.verified;
  co_return Ending::kGood;
}

coro::Task<Ending> Client::Hold() {
  step_ = "idle";
  context_->owner->OnIdle();
  io_->timers().Arm(&pause_, io_->Now() + context_->options->hold);
  const Outcome outcome = co_await channel_.ReadMore();
  // Nothing is said while we are silent; the end of the pause interrupts the read.
  if (outcome == Outcome::kStopped && !channel_.stopped()) co_return Ending::kGood;
  if (outcome == Outcome::kOk) co_return Fail(Ending::kProtocol, "words out of turn");
  co_return Judge(outcome);
}

void Client::OnPause(io::Timer&, void* owner) {
  static_cast<Client*>(owner)->channel_.InterruptRead();
}

coro::Task<Ending> Client::Quit() {
  step_ = "QUIT";
  command_ = "QUIT\r\n";
  const Ending said = co_await Ask(Ending::kProtocol);
  if (said != Ending::kGood) co_return said;
  // The server ends first, so that the waiting time of the port is on its side.
  const Outcome outcome = co_await channel_.ReadMore();
  if (outcome == Outcome::kOk) co_return Fail(Ending::kProtocol, "words behind the answer to QUIT");
  if (outcome == Outcome::kEnd) co_return Ending::kGood;
  co_return Judge(outcome);
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
  co_return Fail(IsTemporary(line.code) ? Ending::kTemporary : refused, line_);
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
