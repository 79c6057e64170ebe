#include "proxy/channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/base/secret.h"

namespace postern {
namespace {

// Plaintext is taken out of the engine in pieces of this size during the login.
constexpr size_t kReadStep = 2048;

}  // namespace

Channel::Channel(io::Io* io, BlockPool* blocks)
    : io_(io),
      input_(blocks),
      pending_(blocks),
      sending_(blocks),
      recv_op_(&Channel::OnReceived, this),
      send_op_(&Channel::OnSent, this),
      deadline_(&Channel::OnDeadline, this) {}

Channel::~Channel() {
  CHECK(fd_ < 0);
  io_->timers().Disarm(&deadline_);
}

void Channel::Attach(int fd) {
  CHECK(fd_ < 0 && fd >= 0);
  fd_ = fd;
  error_ = 0;
  stopped_ = timed_out_ = end_seen_ = false;
}

void Channel::SetTls(std::unique_ptr<tls::Engine> engine) {
  CHECK(input_.empty() && output_empty());
  tls_ = std::move(engine);
}

void Channel::set_sensitive(bool sensitive) {
  sensitive_ = sensitive;
  input_.set_wipe(sensitive);
  pending_.set_wipe(sensitive);
  sending_.set_wipe(sensitive);
  if (!sensitive && tls_ != nullptr) tls_->EndLogin();
}

coro::Task<Outcome> Channel::Connect(const SocketAddress* address) {
  if (stopped_) co_return Outcome::kStopped;
  connecting_ = true;
  io_->Connect(fd_, *address, &send_op_);
  co_await send_wake_.Wait();
  connecting_ = false;
  const int result = send_op_.result();
  if (result < 0 || stopped_ || timed_out_) co_return Ended(result);
  co_return Outcome::kOk;
}

coro::Task<Outcome> Channel::Handshake() {
  recv_op_.set_background(true);
  const Outcome outcome = co_await ShakeHands();
  recv_op_.set_background(false);
  co_return outcome;
}

coro::Task<Outcome> Channel::ShakeHands() {
  for (;;) {
    const tls::Result result = tls_->Handshake();
    // Flush before waiting for input, also when the engine failed: the alert tells the peer why.
    const Outcome sent = co_await Flush();
    if (result == tls::Result::kError) co_return Outcome::kTls;
    if (result == tls::Result::kClosed) co_return Outcome::kEnd;
    if (sent != Outcome::kOk) co_return sent;
    if (result == tls::Result::kOk) break;
    io_->ReturnBuffer(&recv_op_);
    if (stopped_) co_return Outcome::kStopped;
    StartReceive();
    co_await recv_wake_.Wait();
    if (recv_op_.result() <= 0) co_return Ended(recv_op_.result());
    tls_->SetInput(Received());
  }
  // The peer's first words may have come in the same segment as the end of the handshake: no
  // further socket event would announce them.
  const Outcome outcome = TakeReceived();
  co_return outcome == Outcome::kEnd ? Outcome::kOk : outcome;
}

coro::Task<Outcome> Channel::ReadMore() {
  if (stopped_) co_return Outcome::kStopped;
  if (end_seen_) co_return Outcome::kEnd;
  interrupted_ = false;
  const size_t before = input_.size();
  for (;;) {
    StartReceive();
    co_await recv_wake_.Wait();
    if (recv_op_.result() <= 0) co_return Ended(recv_op_.result());
    if (tls_ != nullptr) tls_->SetInput(Received());
    const Outcome outcome = TakeReceived();
    if (outcome != Outcome::kOk) {
      // Bytes in front of the end are still to be used; the end is met again at the next read.
      if (outcome == Outcome::kEnd && input_.size() > before) co_return Outcome::kOk;
      co_return outcome;
    }
    if (input_.size() > before) co_return Outcome::kOk;
    // Only part of a record, or a record without plaintext: answer it if need be and go on.
    if (!pending_.empty()) {
      const Outcome sent = co_await Flush();
      if (sent != Outcome::kOk) co_return sent;
    }
    if (stopped_ || interrupted_) co_return Outcome::kStopped;
  }
}

Outcome Channel::TakeReceived() {
  Outcome outcome = Outcome::kOk;
  if (tls_ == nullptr) {
    const absl::string_view received = Received();
    input_.Append(received);
    if (sensitive_) WipeMemory(const_cast<char*>(received.data()), received.size());
  } else {
    for (;;) {
      size_t bytes = 0;
      char* room = input_.Reserve(kReadStep);
      const tls::Result result = tls_->Read(room, kReadStep, &bytes);
      if (result == tls::Result::kOk) {
        input_.Commit(bytes);
        continue;
      }
      if (input_.empty()) input_.Clear();  // gives the reserved block back
      if (result == tls::Result::kClosed) {
        outcome = Outcome::kEnd;
        end_seen_ = true;
      }
      if (result == tls::Result::kError) outcome = Outcome::kTls;
      break;
    }
  }
  io_->ReturnBuffer(&recv_op_);
  return outcome;
}

void Channel::Queue(absl::string_view plaintext) {
  if (tls_ == nullptr) {
    pending_.Append(plaintext);
    return;
  }
  // A broken engine has nothing more to say; the next read reports it.
  if (tls_->handshake_done()) tls_->Write(plaintext);
}

coro::Task<Outcome> Channel::Flush() {
  while (!output_empty()) {
    if (stopped_) co_return Outcome::kStopped;
    StartSend();
    co_await send_wake_.Wait();
    const int result = send_op_.result();
    if (result <= 0) co_return Ended(result == 0 ? -EPIPE : result);
    AfterSend(static_cast<size_t>(result));
  }
  co_return Outcome::kOk;
}

coro::Task<Outcome> Channel::DrainInput() {
  for (;;) {
    io_->ReturnBuffer(&recv_op_);
    if (stopped_) co_return Outcome::kStopped;
    StartReceive();
    co_await recv_wake_.Wait();
    if (recv_op_.result() <= 0) co_return Ended(recv_op_.result());
  }
}

void Channel::SetDeadline(TimeNs deadline) {
  if (deadline == kNever) {
    io_->timers().Disarm(&deadline_);
  } else {
    io_->timers().Arm(&deadline_, deadline);
  }
}

void Channel::OnDeadline(io::Timer&, void* owner) {
  auto* channel = static_cast<Channel*>(owner);
  if (!channel->open() || channel->stopped_) return;
  channel->timed_out_ = true;
  channel->Stop(/*abortive=*/false);
}

Outcome Channel::Ended(int result) {
  io_->ReturnBuffer(&recv_op_);
  if (timed_out_) return Outcome::kTimeout;
  if (stopped_ || result == -ECANCELED) return Outcome::kStopped;
  if (result == 0) return Outcome::kEnd;
  error_ = result;
  return Outcome::kError;
}

void Channel::InterruptRead() {
  if (recv_op_.in_flight()) io_->Cancel(&recv_op_);
  interrupted_ = true;
}

void Channel::Stop(bool abortive) {
  if (!open() || stopped_) return;
  stopped_ = true;
  if (abortive || connecting_) {
    if (recv_op_.in_flight()) io_->Cancel(&recv_op_);
    if (send_op_.in_flight()) io_->Cancel(&send_op_);
  }
  // With nothing in flight there is nothing to end, and the close that follows says it all.
  if (!abortive && !quiet()) io_->Shutdown(fd_, SHUT_RDWR);
}

void Channel::Close(bool abortive) {
  if (!open()) return;
  CHECK(quiet());
  io_->timers().Disarm(&deadline_);
  io_->ReturnBuffer(&recv_op_);
  if (abortive) io_->SetAbortiveClose(fd_);
  io_->Close(std::exchange(fd_, -1));
  input_.Clear();
  pending_.Clear();
  sending_.Clear();
  borrowed_ = {};
  tls_.reset();
}

void Channel::SetRelay(Handler on_received, Handler on_sent, void* owner) {
  relay_received_ = on_received;
  relay_sent_ = on_sent;
  relay_owner_ = owner;
}

void Channel::StartSend(bool last) {
  if (send_op_.in_flight()) return;
  if (borrowed_.empty() && sending_.empty()) {
    if (pending_.empty()) return;
    std::swap(sending_, pending_);
  }
  const absl::string_view bytes = borrowed_.empty() ? sending_.view() : borrowed_;
  last ? io_->SendLast(fd_, bytes, &send_op_) : io_->Send(fd_, bytes, &send_op_);
}

void Channel::StartSendBorrowed(absl::string_view bytes, bool last) {
  DCHECK(output_empty() && tls_ == nullptr);
  borrowed_ = bytes;
  StartSend(last);
}

void Channel::AfterSend(size_t bytes) {
  if (borrowed_.empty()) {
    sending_.Consume(bytes);
  } else {
    borrowed_.remove_prefix(bytes);
  }
}

void Channel::DropOutput() {
  pending_.Clear();
  if (send_op_.in_flight()) return;
  sending_.Clear();
  borrowed_ = {};
}

void Channel::OnReceived(io::IoOp& op, void* owner) {
  auto* channel = static_cast<Channel*>(owner);
  if (channel->relay_received_ != nullptr) {
    channel->relay_received_(*channel, op.result(), channel->relay_owner_);
  } else {
    channel->recv_wake_.Fire();
  }
}

void Channel::OnSent(io::IoOp& op, void* owner) {
  auto* channel = static_cast<Channel*>(owner);
  if (channel->relay_sent_ != nullptr) {
    channel->relay_sent_(*channel, op.result(), channel->relay_owner_);
  } else {
    channel->send_wake_.Fire();
  }
}

}  // namespace postern
