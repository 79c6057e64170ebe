// Io over epoll, for machines where io_uring is forbidden (containers' seccomp profiles,
// kernel.io_uring_disabled) or missing: one epoll instance per worker.
//
// Descriptors are watched edge-triggered, from the first time they make us wait until they are
// closed, and what is known about their readiness is remembered: starting an operation on a socket
// that is not ready costs no system call, and a relayed message costs one recv(2) and one send(2)
// besides its share of an epoll_wait(2). System calls are tried from RunOnce() only, so completions
// come from there only, as with UringIo.
//
// A turn: wait -> note what became ready -> end what was cancelled -> try what can go on, with what
// the callbacks start, a few rounds -> fire due timers.
//
// At most one receiving operation (Recv, RecvInto, Accept) and one sending operation (Send,
// PollSend, Connect) at a time on a descriptor. A descriptor ends in Close(), never in a close(2)
// of the owner's, and so may be used by another Io before (a listening socket that was handed
// over). Connecting to a unix socket whose backlog is full ends with -EAGAIN, as the kernel has it.
// Worker thread only, except Wake().
#ifndef POSTERN_PROXY_IO_EPOLL_IO_H_
#define POSTERN_PROXY_IO_EPOLL_IO_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/buffer_pool.h"
#include "proxy/io/io.h"

namespace postern::io {

struct EpollOptions {
  // As those of UringOptions.
  uint32_t receive_buffer_bytes = 16384;
  uint32_t receive_buffers = 256;
  uint32_t receive_buffers_max = 16384;
};

class EpollIo final : public Io {
 public:
  // Fails only for want of descriptors or memory.
  static absl::StatusOr<std::unique_ptr<EpollIo>> Create(const EpollOptions& options);
  // Nothing may be in flight and no buffer lent.
  ~EpollIo() override;

  TimeNs Now() const override { return now_; }
  int OpenSocket(int family) override;
  void Shutdown(int fd, int how) override;
  void SetAbortiveClose(int fd) override;
  void Close(int fd) override;
  SocketAddress PeerAddress(int fd) override;
  SocketAddress LocalAddress(int fd) override;

  void Accept(int listen_fd, IoOp* op) override;
  void Connect(int fd, const SocketAddress& address, IoOp* op) override;
  void Recv(int fd, IoOp* op) override;
  void RecvInto(int fd, char* buffer, size_t capacity, IoOp* op) override;
  void Send(int fd, absl::string_view bytes, IoOp* op) override;
  void SendLast(int fd, absl::string_view bytes, IoOp* op) override;
  void PollSend(int fd, IoOp* op) override;
  void Cancel(IoOp* op) override;
  void ReturnBuffer(IoOp* op) override;

  void RunOnce(DurationNs wait_max) override;
  void Wake() override;

  uint32_t buffers_made() const { return buffers_.made(); }
  uint32_t buffers_lent() const { return buffers_.lent(); }

 private:
  using Access = IoOpAccess<EpollIo>;

  // What is known about a descriptor.
  struct Descriptor {
    IoOp* reader = nullptr;  // Recv, RecvInto or Accept in flight
    IoOp* writer = nullptr;  // Send, PollSend or Connect in flight
    // Events name it: one of an earlier life of the number means nothing.
    uint32_t generation = 0;
    bool watched = false;  // known to epoll
    // A system call may get somewhere. False only while watched, and until the next event.
    bool readable = true;
    bool writable = true;
    // More may wait behind a short read without another event: the peer's end, urgent data.
    bool read_on = false;
    // Both directions, or the receiving one, were shut down here.
    bool shut = false;
    // May be shared with other workers under other numbers.
    bool listening = false;
  };

  explicit EpollIo(const EpollOptions& options);
  absl::Status Init();

  // Nothing that calls callbacks may keep the reference: they may start operations on descriptors
  // with higher numbers.
  Descriptor& At(int fd);
  void Forget(int fd);
  void Begin(IoOp* op, int fd, uint8_t kind);
  // `op` is tried in the next round.
  void Kick(IoOp* op);
  // The operation ends with `result` in the next turn, without the kernel.
  void EndLater(IoOp* op, int result);
  // Delivers the end of `op`.
  void Finish(IoOp* op, int result);

  DurationNs WaitFor(DurationNs wait_max) const;
  void Wait(DurationNs wait);
  void NoteEvent(uint64_t data, uint32_t events);
  void RunEnded();
  // Tries every operation that can go on, once.
  void RunReady();
  // Buffers that came back go to those that have waited longest.
  void FeedStarved();

  void Try(IoOp* op);
  void TryAccept(IoOp* op);
  void TryConnect(IoOp* op);
  void TryRecv(IoOp* op);
  void TryRecvInto(IoOp* op);
  // What recv(2) said; nothing more to come when it got less than it could.
  void Received(IoOp* op, ssize_t count, size_t capacity);
  void TrySend(IoOp* op);
  void TryPoll(IoOp* op);
  // The system call would block: `op` rests until the next event.
  void Rest(IoOp* op);
  bool Watch(int fd);

  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  TimeNs now_;
  BufferPool buffers_;
  std::vector<Descriptor> descriptors_;

  // Operations that can go on.
  IntrusiveList<IoOp> ready_;
  // Readable, but without a buffer, oldest first.
  IntrusiveList<IoOp> starved_;
  // Completed by us; delivered in the next turn.
  IntrusiveList<IoOp> ended_;
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_EPOLL_IO_H_
