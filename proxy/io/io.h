// The one door between Postern and the world: sockets, time, wake-ups.
//
// UringIo (production) and sim::SimIo (a seeded, virtual world for tests) implement it, and the
// same session code runs on both. Worker thread only, except Wake().
//
// A turn of the loop: submit what was queued and wait -> collect completions -> run their
// callbacks, those of background operations last and only for a while -> fire due timers. A
// callback never runs inside a call that starts an operation, so no callback can destroy its
// caller.
//
// Ending an operation early: Shutdown() the socket (or Cancel() the operation), then wait for its
// completion, then Close(). close(2) alone, with a receive pending, sends no FIN and the receive
// never completes (measured, Linux 6.18).
#ifndef POSTERN_PROXY_IO_IO_H_
#define POSTERN_PROXY_IO_IO_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/timer_wheel.h"

namespace postern::io {

class Io;

// A pipe(2) through which bytes move from socket to socket without being copied. Two descriptors
// and, while it holds bytes, the memory of those.
struct KernelPipe {
  int read_fd = -1;
  int write_fd = -1;
  size_t bytes = 0;  // in it

  bool open() const { return read_fd >= 0; }
};

// One asynchronous operation, embedded in what owns it (a channel, a listener); never allocated per
// operation. Its owner outlives it: the destructor checks that nothing is in flight.
class IoOp : public ListNode<IoOp> {
 public:
  // Called once per completion, on the worker's thread, with in_flight() already telling the truth.
  using Callback = void (*)(IoOp& op, void* owner);

  IoOp(Callback callback, void* owner) : callback_(callback), owner_(owner) {}
  ~IoOp() { CHECK(!in_flight_); }
  IoOp(const IoOp&) = delete;
  IoOp& operator=(const IoOp&) = delete;

  // Changes who is told next; not while a completion of this operation is being delivered to the
  // old one.
  void SetCallback(Callback callback, void* owner) {
    callback_ = callback;
    owner_ = owner;
  }

  // Its completions may wait for those of all other operations, and then get a bounded share of
  // each turn: for receives behind which long computations stand (TLS handshakes), so that a storm
  // of them does not hold up sessions that are logged in. A hint.
  void set_background(bool background) { background_ = background; }

  bool in_flight() const { return in_flight_; }
  // Bytes, a descriptor (accept), 0, or -errno. -ECANCELED after Cancel().
  int result() const { return result_; }

 private:
  friend class Io;
  Callback callback_;
  void* owner_;
  int result_ = 0;
  int fd_ = -1;
  bool in_flight_ = false;
  bool background_ = false;
  bool waits_ = false;  // completed, and among the background operations to be told so

 protected:
  // For implementations of Io only.
  char* buffer_ = nullptr;  // Recv: the shared buffer lent to this operation
  uint16_t buffer_id_ = 0;
  uint8_t kind_ = 0;
  const void* data_ = nullptr;  // Send, Connect: what the kernel reads
  size_t size_ = 0;

  template <typename Implementation>
  friend struct IoOpAccess;
};

class Io {
 public:
  virtual ~Io() = default;

  // CLOCK_MONOTONIC as of the start of this turn.
  virtual TimeNs Now() const = 0;
  TimerWheel& timers() { return timers_; }

  // --- sockets, at once -----------------------------------------------------------------------

  // A non-blocking stream socket for `family`, or -errno (-EMFILE, ...). TCP_NODELAY is set.
  virtual int OpenSocket(int family) = 0;
  // shutdown(2): SHUT_WR ends our direction, SHUT_RDWR also completes every pending operation.
  virtual void Shutdown(int fd, int how) = 0;
  // Makes the coming Close() send a reset instead of an orderly end (SO_LINGER 0).
  virtual void SetAbortiveClose(int fd) = 0;
  // Finds a peer that vanished without a word: for connections that live longer than a moment, as
  // it takes four system calls. Accepted sockets have it from their listener.
  virtual void EnableKeepalive(int fd);
  // Nothing may be in flight on `fd`.
  virtual void Close(int fd) = 0;
  // The peer and the local end of an accepted socket.
  virtual SocketAddress PeerAddress(int fd) = 0;
  virtual SocketAddress LocalAddress(int fd) = 0;

  // --- operations -----------------------------------------------------------------------------

  // Completes once per connection with its descriptor and stays in flight, until it completes
  // with an error (-ECANCELED, -EMFILE, ...) and is no longer in flight: then the owner decides
  // when to accept again.
  virtual void Accept(int listen_fd, IoOp* op) = 0;
  // `address` must stay valid until completion.
  virtual void Connect(int fd, const SocketAddress& address, IoOp* op) = 0;
  // Completes with the number of bytes now readable through ReceivedBytes(), 0 at the peer's end,
  // or -errno. The bytes sit in a buffer shared by the whole worker, lent until ReturnBuffer(): an
  // idle receive pins no memory. When all buffers are lent out the operation waits for one.
  virtual void Recv(int fd, IoOp* op) = 0;
  // The same into the caller's own memory, which must stay valid until completion: for long
  // transfers, where a larger buffer pays although it is pinned while the operation waits.
  virtual void RecvInto(int fd, char* buffer, size_t capacity, IoOp* op) = 0;
  // Completes with how many bytes were taken (it may be fewer), or -errno. `bytes` must stay valid
  // and unchanged until completion. Never raises SIGPIPE.
  virtual void Send(int fd, absl::string_view bytes, IoOp* op) = 0;
  // As Send(), of the last bytes: they leave together with the end that Shutdown(SHUT_WR) says on
  // completion.
  virtual void SendLast(int fd, absl::string_view bytes, IoOp* op) { Send(fd, bytes, op); }
  // Completes with something positive when a send would get somewhere, if only to learn of an
  // error, or with -errno.
  virtual void PollSend(int fd, IoOp* op) = 0;
  // Asks a pending operation to end soon, with -ECANCELED unless it was faster.
  virtual void Cancel(IoOp* op) = 0;

  absl::string_view ReceivedBytes(const IoOp& op) const {
    DCHECK(!op.in_flight_);
    return op.buffer_ == nullptr || op.result_ <= 0
               ? absl::string_view()
               : absl::string_view(op.buffer_, static_cast<size_t>(op.result_));
  }
  bool HasBuffer(const IoOp& op) const { return op.buffer_ != nullptr; }
  // Does nothing when the operation holds none. The caller's own memory is only forgotten.
  virtual void ReturnBuffer(IoOp* op) = 0;

  // --- moving bytes inside the kernel, at once ------------------------------------------------
  //
  // For long transfers in the clear (splice(2)). None of these waits.

  // False: no descriptors, or no such thing here.
  virtual bool OpenPipe(KernelPipe* pipe);
  // Whatever is in it is lost.
  virtual void ClosePipe(KernelPipe* pipe);
  // How many bytes a receive would find now.
  virtual size_t ReadableBytes(int fd);
  // From a socket into the pipe, at most `bytes_max`: how many, 0 at the peer's end, or -errno
  // (-EAGAIN: nothing there, or no room).
  virtual ssize_t MoveIn(int fd, KernelPipe* pipe, size_t bytes_max);
  // From the pipe to a socket: how many, or -errno (-EAGAIN: see PollSend).
  virtual ssize_t MoveOut(KernelPipe* pipe, int fd);

  // --- the loop -------------------------------------------------------------------------------

  // One turn. Waits for the first completion, the next timer, a Wake() or `wait_max`, whichever
  // comes first.
  virtual void RunOnce(DurationNs wait_max) = 0;
  // Ends the current or the next wait. Any thread, and async-signal-safe.
  virtual void Wake() = 0;

  // So many completions of background operations may wait, each with the buffer it received into:
  // a flood of them must not take the buffers of everybody else. The next is delivered at once.
  static constexpr size_t kBackgroundMax = 256;

  // Operations started and not yet completed; zero when a worker may go.
  size_t ops_in_flight() const { return ops_in_flight_; }
  struct Counts {
    uint64_t turns = 0;
    uint64_t completions = 0;
    uint64_t buffers_exhausted = 0;
    uint64_t cq_overflows = 0;
  };
  const Counts& counts() const { return counts_; }

 protected:
  // Marks an operation as started on `fd`.
  void Start(IoOp* op, int fd) {
    CHECK(!op->in_flight_);
    op->in_flight_ = true;
    op->fd_ = fd;
    ++ops_in_flight_;
  }
  // Delivers a completion. With `more`, the operation stays in flight.
  void Complete(IoOp* op, int result, bool more = false) {
    op->result_ = result;
    ++counts_.completions;
    if (!more) {
      op->in_flight_ = false;
      --ops_in_flight_;
    }
    op->callback_(*op, op->owner_);
  }
  // The same, but behind the others if it is a background operation.
  void CompleteInTurn(IoOp* op, int result) {
    if (!op->background_ || background_count_ == kBackgroundMax) return Complete(op, result);
    op->result_ = result;
    op->waits_ = true;
    ++background_count_;
    background_.PushBack(op);
  }
  // Delivers completions that wait, at least one, until their share of the turn is used up.
  void RunBackground();
  bool background_waits() const { return !background_.empty(); }
  // Completed, and not yet delivered: it is too late to cancel it.
  static bool Waits(const IoOp& op) { return op.waits_; }
  static int FdOf(const IoOp& op) { return op.fd_; }
  // buffer_id_ of memory that is the caller's.
  static constexpr uint16_t kOwnBuffer = 0xffff;

  IntrusiveList<IoOp> background_;
  size_t background_count_ = 0;
  TimerWheel timers_;
  size_t ops_in_flight_ = 0;
  Counts counts_;
};

// The fields of an operation that belong to whichever implementation runs it.
template <typename Implementation>
struct IoOpAccess {
  static char*& buffer(IoOp& op) { return op.buffer_; }
  static uint16_t& buffer_id(IoOp& op) { return op.buffer_id_; }
  static uint8_t& kind(IoOp& op) { return op.kind_; }
  static const void*& data(IoOp& op) { return op.data_; }
  static size_t& size(IoOp& op) { return op.size_; }
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_IO_H_
