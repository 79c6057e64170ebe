// One side of a session: a socket, its TLS engine when it has one, what was read and not yet used,
// what was written and not yet sent.
//
// The conversation (login) uses it through coroutines, one at a time. The relay takes the raw
// operations over with SetRelay(). Owned by a Session; worker thread only. Before it dies no
// operation is in flight and the socket is closed.
#ifndef POSTERN_PROXY_CHANNEL_H_
#define POSTERN_PROXY_CHANNEL_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"
#include "proxy/io/io.h"
#include "tls/engine.h"

namespace postern {

// How one step on a channel ended.
enum class Outcome : uint8_t {
  kOk,
  kEnd,      // the peer's orderly end: FIN, or close_notify
  kError,    // transport error, see Channel::error()
  kTls,      // the TLS engine failed, see Channel::tls()->error()
  kTimeout,  // this channel's own deadline passed
  kStopped,  // we stopped it ourselves (Cancel or drain)
};

class Channel {
 public:
  Channel(io::Io* io, BlockPool* blocks);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  io::Io* io() const { return io_; }
  // The -errno of the last kError.
  int error() const { return error_; }

  // Takes over an open socket.
  void Attach(int fd);
  // From now on everything is encrypted; call Handshake() next. Whatever was read in the clear must
  // be used up.
  void SetTls(std::unique_ptr<tls::Engine> engine);
  tls::Engine* tls() const { return tls_.get(); }
  ByteArena* output() { return &pending_; }

  // While on, buffers are overwritten before they are given back.
  void set_sensitive(bool sensitive);

  // --- the conversation -----------------------------------------------------------------------

  coro::Task<Outcome> Connect(const SocketAddress* address);
  // Until the handshake is done and all of it has been sent.
  coro::Task<Outcome> Handshake();
  // Adds at least one plaintext byte to input().
  coro::Task<Outcome> ReadMore();
  // Encrypts if need be and puts behind what waits to be sent; sends nothing yet.
  void Queue(absl::string_view plaintext);
  size_t queued_bytes() const { return pending_.size() + sending_.size(); }
  // Until everything queued has been handed to the kernel.
  coro::Task<Outcome> Flush();
  // Reads and drops until the peer ends, so that closing sends no reset over our last words.
  coro::Task<Outcome> DrainInput();
  // Makes a pending ReadMore() return kStopped although the channel stays usable.
  void InterruptRead();

  // Plaintext that was read and not yet used.
  absl::string_view input() const { return input_.view(); }
  void ConsumeInput(size_t bytes) { input_.Consume(bytes); }
  void ClearInput() { input_.Clear(); }

  // When `deadline` passes, every step in progress ends with kTimeout. kNever: none.
  void SetDeadline(TimeNs deadline);
  bool timed_out() const { return timed_out_; }
  // The peer's close_notify came behind bytes that were still to be used.
  bool end_seen() const { return end_seen_; }

  // --- ending ---------------------------------------------------------------------------------

  // Ends every operation soon; harmless when repeated. An abortive stop leaves the direction to the
  // peer open, so that the close that follows is a reset and not an orderly end.
  void Stop(bool abortive);
  bool stopped() const { return stopped_; }
  bool quiet() const { return !recv_op_.in_flight() && !send_op_.in_flight(); }
  // Nothing may be in flight. Afterwards the channel can be attached to another socket.
  void Close(bool abortive);

  // --- for the relay --------------------------------------------------------------------------

  // Who hears of completions: `on_received` after each receive, `on_sent` after each send. The
  // relay calls the two Start functions and handles results itself.
  using Handler = void (*)(Channel& channel, int result, void* owner);
  void SetRelay(Handler on_received, Handler on_sent, void* owner);
  void StartReceive() { io_->Recv(fd_, &recv_op_); }
  // Into the caller's memory, which is lent until the receive is over.
  void StartReceiveInto(char* buffer, size_t capacity) {
    io_->RecvInto(fd_, buffer, capacity, &recv_op_);
  }
  bool receiving() const { return recv_op_.in_flight(); }
  absl::string_view Received() const { return io_->ReceivedBytes(recv_op_); }
  void ReturnReceived() { io_->ReturnBuffer(&recv_op_); }
  // Sends what is queued, if anything and if no send is in progress. `last`: the end of our
  // direction follows.
  void StartSend(bool last = false);
  // Sends memory of the caller's directly; nothing may be queued. Plaintext channels only.
  void StartSendBorrowed(absl::string_view bytes, bool last);
  // `on_sent` hears when a send would get somewhere. Nothing may be queued or being sent.
  void StartPollSend() { io_->PollSend(fd_, &send_op_); }
  bool sending() const { return send_op_.in_flight(); }
  bool output_empty() const { return pending_.empty() && sending_.empty() && borrowed_.empty(); }
  // Accounts for `bytes` that the kernel took.
  void AfterSend(size_t bytes);
  // Forgets what waits to be sent, but for what a send in progress is reading.
  void DropOutput();

 private:
  static void OnReceived(io::IoOp& op, void* owner);
  static void OnSent(io::IoOp& op, void* owner);
  static void OnDeadline(io::Timer& timer, void* owner);
  coro::Task<Outcome> ShakeHands();
  // What a failed or ended step means, given who caused it.
  Outcome Ended(int result);
  // Moves received bytes into input_, decrypting them.
  Outcome TakeReceived();

  io::Io* io_;
  int fd_ = -1;
  int error_ = 0;
  bool stopped_ = false;
  bool timed_out_ = false;
  bool connecting_ = false;
  bool interrupted_ = false;  // the read in progress is to end, also while it answers something
  bool sensitive_ = false;
  bool end_seen_ = false;
  std::unique_ptr<tls::Engine> tls_;
  ByteArena input_;
  ByteArena pending_;           // queued; the engine writes here
  ByteArena sending_;           // being sent; never moves while a send is in flight
  absl::string_view borrowed_;  // being sent from somebody else's memory
  io::IoOp recv_op_;
  io::IoOp send_op_;
  coro::Wake recv_wake_;
  coro::Wake send_wake_;
  io::Timer deadline_;
  Handler relay_received_ = nullptr;
  Handler relay_sent_ = nullptr;
  void* relay_owner_ = nullptr;
};

}  // namespace postern

#endif  // POSTERN_PROXY_CHANNEL_H_
