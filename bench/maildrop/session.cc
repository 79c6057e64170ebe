#include "bench/maildrop/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/maildrop/client_facts.h"
#include "bench/maildrop/proxy_header.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"
#include "proxy/base/socket_address.h"
#include "proxy/pop3/login_dialogue.h"
#include "proxy/pop3/reply.h"
#include "tls/random.h"

namespace postern::maildrop {
namespace {

constexpr DurationNs kHandshakeTimeout = 30 * kSecond;
constexpr DurationNs kHeaderTimeout = 10 * kSecond;
constexpr DurationNs kCloseLinger = 5 * kSecond;
// Replies of pipelined commands are sent together, but never more than this waits.
constexpr size_t kQueuedBytesMax = 16384;
// Of a line in the log.
constexpr size_t kFactsBytesMax = 1000;

size_t PieceFor(uint64_t octets) {
  return std::min(octets + octets / 32 + 256, uint64_t{ThreadContext::kPieceBytes});
}

std::string MakeChallenge(const Options& options) {
  if (!options.apop) return {};
  char random[16];
  tls::RandomBytes(random, sizeof(random));
  return pop3::MakeApopChallenge(options.mailbox.store, absl::string_view(random, sizeof(random)));
}

}  // namespace

Session::Session(ThreadContext* context, ListenTls tls, Fault fault, int fd)
    : context_(context),
      io_(context->io),
      tls_(tls),
      channel_(context->io, context->blocks),
      dialogue_(context->options, context->deletions, tls, fault, MakeChallenge(*context->options)),
      pause_(&Session::OnPause, this) {
  channel_.Attach(fd);
}

Session::~Session() { io_->timers().Disarm(&pause_); }

void Session::Start() { coro::Detach(Run(), &Session::OnDone, this); }

void Session::OnDone(void* owner) {
  auto* session = static_cast<Session*>(owner);
  session->context_->owner->OnSessionOver(session);
}

void Session::Cancel() {
  channel_.Stop(/*abortive=*/false);
  if (pause_.armed()) {
    io_->timers().Disarm(&pause_);
    pause_wake_.Fire();
  }
}

// Its frame is what an idle session keeps: all else happens in children.
coro::Task<void> Session::Run() {
  bool alive = co_await Begin();
  while (alive) {
    alive = co_await Work();
    if (!alive) break;
    const Outcome outcome = co_await channel_.ReadMore();
    alive = outcome == Outcome::kOk;
  }
  co_await CloseUp();
}

coro::Task<bool> Session::Begin() {
  bool alive = true;
  if (context_->options->proxy_protocol) {
    alive = co_await ReadHeader();
  }
  if (alive && tls_ == ListenTls::kImplicit) {
    // What came together with the header is the beginning of the handshake.
    const std::string early(channel_.input());
    channel_.ClearInput();
    alive = co_await ShakeHands(early);
  }
  if (!alive) co_return false;
  Answer greeting = dialogue_.Greet();
  co_return co_await Carry(std::move(greeting));
}

coro::Task<bool> Session::ReadHeader() {
  channel_.SetDeadline(io_->Now() + kHeaderTimeout);
  ClientFacts facts;
  for (;;) {
    size_t bytes = 0;
    const ProxyHeader header = ReadProxyHeader(channel_.input(), &bytes, &facts);
    if (header == ProxyHeader::kBad) co_return false;
    if (header == ProxyHeader::kDone) {
      channel_.ConsumeInput(bytes);
      dialogue_.SetClientFacts(facts);
      co_return true;
    }
    const Outcome outcome = co_await channel_.ReadMore();
    if (outcome != Outcome::kOk) co_return false;
  }
}

coro::Task<bool> Session::ShakeHands(absl::string_view early) {
  channel_.SetDeadline(io_->Now() + kHandshakeTimeout);
  channel_.SetTls(context_->tls->NewEngine(channel_.output()));
  channel_.tls()->SetInput(early);
  const Outcome outcome = co_await channel_.Handshake();
  // There is no secret here that would be worth 16 KiB of zeros for each record read.
  if (outcome == Outcome::kOk) channel_.tls()->EndLogin();
  co_return outcome == Outcome::kOk;
}

void Session::LogLogin() const {
  sockaddr_storage name{};
  socklen_t length = sizeof(name);
  std::string peer = "unknown";
  if (getpeername(channel_.fd(), reinterpret_cast<sockaddr*>(&name), &length) == 0) {
    peer = SocketAddress(reinterpret_cast<const sockaddr*>(&name), length).ToString();
  }
  const ClientFacts* facts = dialogue_.client_facts();
  log::Info(absl::StrCat("login user=\"", EscapeForLog(dialogue_.mailbox()->user()),
                         "\" peer=", peer, facts == nullptr ? "" : " ",
                         facts == nullptr ? "" : facts->ToString(kFactsBytesMax)));
}

coro::Task<bool> Session::Work() {
  absl::string_view line;
  size_t consumed = 0;
  while (pop3::TakeLine(channel_.input(), &line, &consumed)) {
    const bool new_here = dialogue_.mailbox() == nullptr;
    Answer answer = dialogue_.OnLine(line);
    channel_.ConsumeInput(consumed);
    if (context_->options->verbose && new_here && dialogue_.mailbox() != nullptr) LogLogin();
    // Most answers wait for those of the commands behind them.
    if (answer.action == Action::kReply && answer.pause == 0) {
      channel_.Queue(answer.text);
      if (channel_.queued_bytes() <= kQueuedBytesMax) continue;
      const bool sent = co_await Flush();
      if (!sent) co_return false;
      continue;
    }
    const bool alive = co_await Carry(std::move(answer));
    if (!alive) co_return false;
  }
  if (channel_.input().size() > Dialogue::kLineBytesMax) co_return false;
  co_return co_await Flush();
}

coro::Task<bool> Session::Carry(Answer answer) {
  if (answer.pause > 0) {
    const bool sent = co_await Flush();
    if (!sent) co_return false;
    co_await Pause(answer.pause);
    if (channel_.stopped()) co_return false;
  }
  channel_.Queue(answer.text);
  switch (answer.action) {
    case Action::kReply:
      break;
    case Action::kMessage:
      co_return co_await SendMessage(answer.index, answer.body_lines);
    case Action::kListing:
      co_return co_await SendListing(answer.unique_ids);
    case Action::kStartTls: {
      const bool sent = co_await Flush();
      if (!sent) co_return false;
      // Whatever came behind STLS in the clear is dropped (RFC 2595 section 4).
      channel_.ClearInput();
      const bool done = co_await ShakeHands(absl::string_view());
      if (done) dialogue_.OnTlsStarted();
      co_return done;
    }
    case Action::kClose:
      co_return false;
    case Action::kReset:
      reset_ = true;
      co_return false;
    case Action::kStall: {
      channel_.SetDeadline(io_->Now() + context_->options->idle_timeout);
      const bool sent = co_await Flush();
      if (sent) co_await channel_.DrainInput();
      co_return false;
    }
  }
  co_return true;
}

coro::Task<bool> Session::SendMessage(size_t index, uint64_t body_lines) {
  const Fault fault = dialogue_.fault();
  const bool half =
      fault == Fault::kStallMidRetr || fault == Fault::kCloseMidRetr || fault == Fault::kRstMidRetr;
  const uint64_t octets = dialogue_.mailbox()->Octets(index);
  const uint64_t stop_at = half ? octets / 2 : UINT64_MAX;
  // A short message takes no more room than it needs, with its stuffed dots and its end.
  const size_t piece_bytes = half ? 256 : PieceFor(octets);
  const bool plain = channel_.tls() == nullptr;
  MessageStream stream = dialogue_.mailbox()->Open(index, body_lines);
  uint64_t sent_bytes = 0;
  // Small messages of a pipelining client leave together.
  while (!stream.finished() && sent_bytes < stop_at) {
    // In the clear, the message is made where it is sent from.
    char* piece = plain ? channel_.output()->Reserve(piece_bytes) : context_->scratch.data();
    size_t size = stream.Write(piece, piece_bytes);
    if (stream.finished() && fault == Fault::kNoTerminator) size -= 3;
    if (plain) {
      channel_.output()->Commit(size);
    } else {
      channel_.Queue(absl::string_view(piece, size));
    }
    sent_bytes += size;
    if (channel_.queued_bytes() <= kQueuedBytesMax) continue;
    const bool sent = co_await Flush();
    if (!sent) co_return false;
  }
  if (!half && fault != Fault::kNoTerminator) co_return true;
  const bool sent = co_await Flush();
  if (!sent) co_return false;
  reset_ = fault == Fault::kRstMidRetr;
  if (fault == Fault::kStallMidRetr) {
    co_await channel_.DrainInput();
  }
  co_return false;
}

coro::Task<bool> Session::SendListing(bool unique_ids) {
  const Mailbox& mailbox = *dialogue_.mailbox();
  size_t index = 1;
  for (;;) {
    channel_.Queue(ListingPart(mailbox, unique_ids, ThreadContext::kPieceBytes, &index));
    if (index > mailbox.size()) co_return true;
    const bool sent = co_await Flush();
    if (!sent) co_return false;
  }
}

coro::Task<bool> Session::Flush() {
  channel_.SetDeadline(io_->Now() + context_->options->idle_timeout);
  const Outcome outcome = co_await channel_.Flush();
  co_return outcome == Outcome::kOk;
}

coro::Task<void> Session::Pause(DurationNs duration) {
  if (channel_.stopped()) co_return;
  io_->timers().Arm(&pause_, io_->Now() + duration);
  co_await pause_wake_.Wait();
}

void Session::OnPause(io::Timer&, void* owner) { static_cast<Session*>(owner)->pause_wake_.Fire(); }

coro::Task<void> Session::CloseUp() {
  if (!reset_ && !channel_.stopped()) {
    // A reset must not overtake our last words: end our direction, then read until the client ends.
    channel_.SetDeadline(io_->Now() + kCloseLinger);
    if (channel_.tls() != nullptr && channel_.tls()->handshake_done()) channel_.tls()->Shutdown();
    const Outcome sent = co_await channel_.Flush();
    if (sent == Outcome::kOk && !channel_.stopped()) {
      io_->Shutdown(channel_.fd(), SHUT_WR);
      co_await channel_.DrainInput();
    }
  }
  channel_.Close(reset_);
}

}  // namespace postern::maildrop
