// Long transfers: large receives, and a pipe inside the kernel where both sides are in the clear.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/relay.h"

namespace postern {
namespace {

// So much of one session passes in a turn; then the others get theirs.
constexpr size_t kMovedPerTurn = size_t{4} << 20;

}  // namespace

void Relay::NoteLength(Pipe& pipe, size_t received) {
  pipe.long_transfer = received >= bulk_->options().long_receive;
}

void Relay::Receive(Pipe& pipe) {
  if (&pipe == &pipes_[kDown] && pipe.long_transfer && MoveInKernel()) return;
  pipe.state = State::kReading;
  if (pipe.long_transfer && pipe.block == nullptr) {
    pipe.block = bulk_->TakeBlock();
  } else if (!pipe.long_transfer && pipe.block != nullptr) {
    bulk_->ReturnBlock(std::exchange(pipe.block, nullptr));
  }
  if (pipe.block != nullptr) {
    pipe.source->StartReceiveInto(pipe.block, bulk_->options().block_bytes);
  } else {
    pipe.source->StartReceive();
  }
}

// How much of what the upstream has sent may pass unseen; 0 when it must be received.
//
// Only in the body of the one response that is outstanding. The last bytes that have arrived stay
// behind, so that the counter sees every end.
size_t Relay::MovableBytes() {
  const Channel* upstream = pipes_[kDown].source;
  const Channel* client = pipes_[kDown].target;
  if (upstream->tls() != nullptr || client->tls() != nullptr) return 0;
  if (client_broken_ || ending_ || !counter_.alone_in_body()) return 0;
  constexpr size_t kStays = pop3::RelayCounter::kTailBytes;
  const size_t readable = upstream->io()->ReadableBytes(upstream->fd());
  return readable < bulk_->options().move_min + kStays ? 0 : readable - kStays;
}

// Moves what the upstream has sent on to the client. False when a receive is to be started instead:
// nothing is in the pipe then.
bool Relay::MoveInKernel() {
  Pipe& pipe = pipes_[kDown];
  io::Io* io = pipe.source->io();
  for (size_t left = kMovedPerTurn; left > 0;) {
    const size_t movable = std::min(MovableBytes(), left);
    if (movable == 0) return false;
    if (!kernel_pipe_.open() && !bulk_->TakePipe(&kernel_pipe_)) return false;
    const ssize_t moved = io->MoveIn(pipe.source->fd(), &kernel_pipe_, movable);
    if (moved <= 0) return false;  // a receive finds out why
    counter_.SkipBody();
    pipe.bytes += static_cast<uint64_t>(moved);
    bytes_moved_ += static_cast<uint64_t>(moved);
    last_activity_ = io->Now();
    left -= static_cast<size_t>(moved);
    pipe.state = State::kWriting;
    if (!DrainKernelPipe()) return true;
  }
  PollClient();
  return true;
}

// Whether the kernel pipe is empty. If not, the pipe waits for the client, or the client is broken
// and that has been dealt with.
bool Relay::DrainKernelPipe() {
  Channel* client = pipes_[kDown].target;
  if (client_broken_) DropKernelPipe();
  while (kernel_pipe_.bytes > 0) {
    const ssize_t moved = client->io()->MoveOut(&kernel_pipe_, client->fd());
    if (moved > 0) {
      last_activity_ = client->io()->Now();
    } else if (moved == -EAGAIN) {
      PollClient();
      return false;
    } else {
      TargetFailed(pipes_[kDown]);
      return false;
    }
  }
  return true;
}

void Relay::PollClient() {
  polling_ = true;
  pipes_[kDown].target->StartPollSend();
}

void Relay::DropKernelPipe() {
  if (kernel_pipe_.open()) bulk_->ReturnPipe(&kernel_pipe_);
}

void Relay::GiveBack() {
  DropKernelPipe();
  for (Pipe& pipe : pipes_) {
    if (pipe.block != nullptr) bulk_->ReturnBlock(std::exchange(pipe.block, nullptr));
  }
}

}  // namespace postern
