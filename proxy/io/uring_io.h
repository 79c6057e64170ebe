// Io over Linux io_uring: one ring per worker.
//
// Receives are one-shot and choose a shared buffer when bytes have arrived (backpressure by
// construction: no further receive, no further bytes). Accepts are multishot. When the buffers run
// out, more are made, up to a limit; then receives queue in order and get the next ones that come
// back. A turn never spins on them.
//
// The ring belongs to the thread that calls Create() (IORING_SETUP_SINGLE_ISSUER): call it on the
// worker's own thread, and destroy it there. Only Wake() may be called from elsewhere.
#ifndef POSTERN_PROXY_IO_URING_IO_H_
#define POSTERN_PROXY_IO_URING_IO_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/io/buffer_ring.h"
#include "proxy/io/io.h"
#include "proxy/io/uring_setup.h"

struct io_uring;
struct io_uring_sqe;

namespace postern::io {

class UringIo final : public Io {
 public:
  // Errors name the cause (forbidden, too old, locked memory) and how to mend it.
  static absl::StatusOr<std::unique_ptr<UringIo>> Create(const UringOptions& options);
  // Nothing may be in flight and no buffer lent.
  ~UringIo() override;

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

  const UringFeatures& features() const { return features_; }
  uint32_t buffers_made() const { return buffers_->made(); }
  uint32_t buffers_lent() const { return buffers_->lent(); }
  // Times an operation had to wait for a turn because the submission queue was full.
  uint64_t sq_full() const { return sq_full_; }
  // Submits an empty operation of this IORING_OP_ number and returns its result: -EACCES when the
  // restrictions hold. Only before the first operation.
  int TryOperation(uint8_t operation);

 private:
  using Access = IoOpAccess<UringIo>;
  struct Completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
  };

  UringIo();
  absl::Status Init(const UringOptions& options);

  io_uring_sqe* NextSqe();
  // Hands `op` to the kernel, or queues it when the submission queue is full.
  void Issue(IoOp* op);
  void Prepare(io_uring_sqe* sqe, IoOp* op);
  void CancelLater(uint64_t user_data);
  // The operation ends with `result` in the next turn, without the kernel.
  void EndLater(IoOp* op, int result);
  void WatchWakeups();

  void SubmitAndWait(DurationNs wait);
  DurationNs WaitFor(DurationNs wait_max) const;
  // Collects and delivers what has completed; returns how many.
  size_t RunCompletions();
  void RunEnded();
  void Deliver(const Completion& completion);
  void DeliverAccept(IoOp* op, int result, bool more);
  void DeliverRecv(IoOp* op, int result, uint32_t flags);
  void SubmitQueued();
  // Ends starved receives whose socket we shut down, and re-arms the others once buffers are back.
  void FeedStarved();

  void MarkShut(int fd);
  void ForgetShut(int fd);
  bool IsShut(int fd) const;

  std::unique_ptr<io_uring> ring_;
  bool ring_made_ = false;
  std::unique_ptr<BufferRing> buffers_;
  UringFeatures features_;
  TimeNs now_;
  int wake_fd_ = -1;
  bool wake_watched_ = false;
  uint64_t sq_full_ = 0;
  bool overflowing_ = false;

  // Started, and waiting for room in the submission queue; cancels go first.
  IntrusiveList<IoOp> queued_;
  std::vector<uint64_t> queued_cancels_;
  // Receives without a buffer, oldest first.
  IntrusiveList<IoOp> starved_;
  TimeNs starved_since_ = 0;
  // Completed by us; delivered in the next turn.
  IntrusiveList<IoOp> ended_;
  // By descriptor: its receiving side was shut down here. The kernel reports "no buffer" and not
  // "end" for such a socket while the buffers are exhausted.
  std::vector<bool> shut_;
  bool shut_while_starved_ = false;
};

}  // namespace postern::io

#endif  // POSTERN_PROXY_IO_URING_IO_H_
