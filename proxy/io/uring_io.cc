#include "proxy/io/uring_io.h"

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "proxy/base/check.h"
#include "proxy/base/status_macros.h"
#include "proxy/io/socket_calls.h"

namespace postern::io {
namespace {

// What user_data holds besides the address of an IoOp.
constexpr uint64_t kCancelTag = 0;
constexpr uint64_t kWakeTag = 1;
constexpr uint64_t kTryTag = 2;

// IoOp's kind: what it is, where it is, and whether it was cancelled.
enum Kind : uint8_t { kAccept = 1, kConnect, kRecv, kRecvInto, kSend, kPoll, kKindMask = 0x0f };
// MSG_MORE: the bytes wait for the end, at most 200 ms.
constexpr uint8_t kLast = 0x10;
// The last receive of this operation left its socket empty, as far as the kernel knows.
constexpr uint8_t kDrained = 0x20;
constexpr uint8_t kEnded = 0x40;
constexpr uint8_t kCancelled = 0x80;

constexpr size_t kBatch = 256;
// Completions of one turn; the rest waits for the next, so that timers and mail get their share.
constexpr size_t kCompletionsPerTurn = 4096;
// Without progress this long, starved receives get even a single buffer.
constexpr DurationNs kStarvationPatience = 10 * kMillisecond;
constexpr DurationNs kWaitMax = 3600 * kSecond;

}  // namespace

absl::StatusOr<std::unique_ptr<UringIo>> UringIo::Create(const UringOptions& options) {
  std::unique_ptr<UringIo> io(new UringIo());
  RETURN_IF_ERROR(io->Init(options));
  return io;
}

UringIo::UringIo() : ring_(std::make_unique<io_uring>()), now_(MonotonicNow()) {}

absl::Status UringIo::Init(const UringOptions& options) {
  RETURN_IF_ERROR(SetUpRing(options, ring_.get(), &features_));
  ring_made_ = true;
  ASSIGN_OR_RETURN(buffers_,
                   BufferRing::Create(ring_.get(), options.receive_buffers,
                                      options.receive_buffers_max, options.receive_buffer_bytes));
  RETURN_IF_ERROR(EnableRing(ring_.get(), features_));
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return UringError("making the wake-up descriptor", errno);
  timers_.Advance(now_);
  return absl::OkStatus();
}

UringIo::~UringIo() {
  CHECK(ops_in_flight_ == 0);
  CHECK(buffers_ == nullptr || buffers_->lent() == 0);
  if (ring_made_) io_uring_queue_exit(ring_.get());
  if (wake_fd_ >= 0) close(wake_fd_);
}

// --- sockets, at once ---------------------------------------------------------------------------

int UringIo::OpenSocket(int family) {
  const int fd = OpenStreamSocket(family);
  if (fd >= 0) ForgetShut(fd);
  return fd;
}

// A plain system call: IORING_OP_SHUTDOWN always takes a detour through a kernel helper thread, and
// can overtake or be overtaken.
void UringIo::Shutdown(int fd, int how) {
  shutdown(fd, how);
  if (how != SHUT_WR) MarkShut(fd);
}

void UringIo::SetAbortiveClose(int fd) { ResetOnClose(fd); }

void UringIo::Close(int fd) {
  ForgetShut(fd);
  close(fd);
}

SocketAddress UringIo::PeerAddress(int fd) { return PeerAddressOf(fd); }

SocketAddress UringIo::LocalAddress(int fd) { return LocalAddressOf(fd); }

void UringIo::MarkShut(int fd) {
  if (fd < 0) return;
  const size_t index = static_cast<size_t>(fd);
  if (index >= shut_.size()) shut_.resize(index + 64);
  shut_[index] = true;
  if (!starved_.empty()) shut_while_starved_ = true;
}

void UringIo::ForgetShut(int fd) {
  const size_t index = static_cast<size_t>(fd);
  if (fd >= 0 && index < shut_.size()) shut_[index] = false;
}

bool UringIo::IsShut(int fd) const {
  const size_t index = static_cast<size_t>(fd);
  return index < shut_.size() && shut_[index];
}

// --- starting operations ------------------------------------------------------------------------

void UringIo::Accept(int listen_fd, IoOp* op) {
  Start(op, listen_fd);
  Access::kind(*op) = kAccept;
  Issue(op);
}

void UringIo::Connect(int fd, const SocketAddress& address, IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kConnect;
  Access::data(*op) = address.data();
  Access::size(*op) = address.length();
  Issue(op);
}

void UringIo::Recv(int fd, IoOp* op) {
  CHECK(Access::buffer(*op) == nullptr);
  Start(op, fd);
  Access::kind(*op) = static_cast<uint8_t>(kRecv | (Access::kind(*op) & kDrained));
  // Others have waited longer for a buffer.
  if (!starved_.empty()) {
    starved_.PushBack(op);
    if (IsShut(fd)) shut_while_starved_ = true;
    return;
  }
  Issue(op);
}

void UringIo::RecvInto(int fd, char* buffer, size_t capacity, IoOp* op) {
  CHECK(Access::buffer(*op) == nullptr && capacity > 0);
  Start(op, fd);
  Access::kind(*op) = static_cast<uint8_t>(kRecvInto | (Access::kind(*op) & kDrained));
  Access::buffer(*op) = buffer;
  Access::buffer_id(*op) = kOwnBuffer;
  Access::size(*op) = capacity;
  Issue(op);
}

void UringIo::SendLast(int fd, absl::string_view bytes, IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kSend | kLast;
  Access::data(*op) = bytes.data();
  Access::size(*op) = bytes.size();
  Issue(op);
}

void UringIo::PollSend(int fd, IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kPoll;
  Issue(op);
}

void UringIo::Send(int fd, absl::string_view bytes, IoOp* op) {
  Start(op, fd);
  Access::kind(*op) = kSend;
  Access::data(*op) = bytes.data();
  Access::size(*op) = bytes.size();
  Issue(op);
}

io_uring_sqe* UringIo::NextSqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
  if (sqe != nullptr) return sqe;
  ++sq_full_;
  io_uring_submit(ring_.get());
  return io_uring_get_sqe(ring_.get());
}

void UringIo::Issue(IoOp* op) {
  // A queued cancel may carry this operation's address from its previous life: keep the order.
  io_uring_sqe* sqe = queued_cancels_.empty() && queued_.empty() ? NextSqe() : nullptr;
  if (sqe == nullptr) {
    queued_.PushBack(op);
    return;
  }
  Prepare(sqe, op);
}

void UringIo::Prepare(io_uring_sqe* sqe, IoOp* op) {
  const int fd = FdOf(*op);
  switch (Access::kind(*op) & kKindMask) {
    case kAccept:
      io_uring_prep_multishot_accept(sqe, fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      break;
    case kConnect:
      io_uring_prep_connect(sqe, fd, static_cast<const sockaddr*>(Access::data(*op)),
                            static_cast<socklen_t>(Access::size(*op)));
      break;
    case kRecv:
      // Length 0: as much as the buffer holds.
      io_uring_prep_recv(sqe, fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = BufferRing::kGroup;
      if ((Access::kind(*op) & kDrained) != 0) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      break;
    case kRecvInto:
      io_uring_prep_recv(sqe, fd, Access::buffer(*op), Access::size(*op), 0);
      if ((Access::kind(*op) & kDrained) != 0) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      break;
    case kPoll:
      io_uring_prep_poll_add(sqe, fd, POLLOUT);
      break;
    default:
      io_uring_prep_send(sqe, fd, Access::data(*op), Access::size(*op),
                         (Access::kind(*op) & kLast) != 0 ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL);
      break;
  }
  io_uring_sqe_set_data(sqe, op);
}

void UringIo::Cancel(IoOp* op) {
  if (!op->in_flight() || Waits(*op)) return;
  uint8_t& kind = Access::kind(*op);
  if ((kind & (kCancelled | kEnded)) != 0) return;
  kind |= kCancelled;
  if (op->linked()) {
    // Starved or queued: the kernel does not know it.
    op->Unlink();
    EndLater(op, -ECANCELED);
    return;
  }
  CancelLater(reinterpret_cast<uint64_t>(op));
}

void UringIo::CancelLater(uint64_t user_data) {
  io_uring_sqe* sqe = queued_cancels_.empty() ? NextSqe() : nullptr;
  if (sqe == nullptr) {
    queued_cancels_.push_back(user_data);
    return;
  }
  io_uring_prep_cancel64(sqe, user_data, 0);
  io_uring_sqe_set_data64(sqe, kCancelTag);
}

void UringIo::EndLater(IoOp* op, int result) {
  Access::kind(*op) |= kEnded;
  Access::size(*op) = static_cast<size_t>(-result);
  ended_.PushBack(op);
}

void UringIo::ReturnBuffer(IoOp* op) {
  if (Access::buffer(*op) == nullptr) return;
  Access::buffer(*op) = nullptr;
  if (Access::buffer_id(*op) == kOwnBuffer) return;
  buffers_->Return(Access::buffer_id(*op), /*hold=*/!starved_.empty());
}

// --- the loop -----------------------------------------------------------------------------------

void UringIo::RunOnce(DurationNs wait_max) {
  ++counts_.turns;
  SubmitQueued();
  SubmitAndWait(WaitFor(wait_max));
  now_ = MonotonicNow();
  RunEnded();
  if (RunCompletions() > 0 || background_waits()) now_ = MonotonicNow();
  RunBackground();
  FeedStarved();
  timers_.Advance(now_);
}

DurationNs UringIo::WaitFor(DurationNs wait_max) const {
  if (!ended_.empty() || !queued_.empty() || !queued_cancels_.empty() || shut_while_starved_ ||
      background_waits()) {
    return 0;
  }
  DurationNs wait = std::min(wait_max, kWaitMax);
  if (const TimeNs deadline = timers_.NextDeadline(); deadline != kNever) {
    wait = std::min(wait, deadline - MonotonicNow());
  }
  if (!starved_.empty() && buffers_->available() > 0) {
    if (buffers_->plenty()) return 0;
    wait = std::min(wait, kStarvationPatience);
  }
  return std::max<DurationNs>(wait, 0);
}

void UringIo::SubmitAndWait(DurationNs wait) {
  int result = 0;
  if (wait == 0) {
    result = io_uring_submit_and_get_events(ring_.get());
  } else {
    __kernel_timespec timeout{.tv_sec = wait / kSecond, .tv_nsec = wait % kSecond};
    io_uring_cqe* cqe = nullptr;
    result = io_uring_submit_and_wait_timeout(ring_.get(), &cqe, 1, &timeout, nullptr);
  }
  // Passing conditions: nothing came, a signal, a full completion queue, no memory right now. What
  // was not submitted stays in the queue for the next turn. Anything else means that the ring is
  // not ours (another thread's, closed): no operation would ever end.
  CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
        result == -EAGAIN || result == -ENOMEM || result == -EBADR);
}

size_t UringIo::RunCompletions() {
  const bool overflow = io_uring_cq_has_overflow(ring_.get());
  if (overflow && !overflowing_) ++counts_.cq_overflows;
  overflowing_ = overflow;

  size_t total = 0;
  std::array<io_uring_cqe*, kBatch> entries;
  std::array<Completion, kBatch> batch;
  while (total < kCompletionsPerTurn) {
    const unsigned count = io_uring_peek_batch_cqe(ring_.get(), entries.data(), kBatch);
    if (count == 0) break;
    for (unsigned i = 0; i < count; ++i) {
      batch[i] = Completion{.user_data = entries[i]->user_data,
                            .result = entries[i]->res,
                            .flags = entries[i]->flags};
    }
    io_uring_cq_advance(ring_.get(), count);
    for (unsigned i = 0; i < count; ++i) Deliver(batch[i]);
    total += count;
  }
  return total;
}

void UringIo::RunEnded() {
  // Only what is there now: an operation ended by these callbacks waits for the next turn.
  IntrusiveList<IoOp> ended;
  while (IoOp* op = ended_.PopFront()) ended.PushBack(op);
  while (IoOp* op = ended.PopFront()) Complete(op, -static_cast<int>(Access::size(*op)));
}

void UringIo::Deliver(const Completion& completion) {
  if (completion.user_data == kCancelTag || completion.user_data == kTryTag) return;
  const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (completion.user_data == kWakeTag) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = read(wake_fd_, &count, sizeof(count));
    if (!more) wake_watched_ = false;
    return;
  }
  IoOp* op = reinterpret_cast<IoOp*>(completion.user_data);
  switch (Access::kind(*op) & kKindMask) {
    case kAccept:
      DeliverAccept(op, completion.result, more);
      return;
    case kRecv:
    case kRecvInto:
      DeliverRecv(op, completion.result, completion.flags);
      return;
    default:
      Complete(op, completion.result);
  }
}

void UringIo::DeliverAccept(IoOp* op, int result, bool more) {
  if (result >= 0) {
    ForgetShut(result);
    Complete(op, result, /*more=*/true);
  } else if (result != -ECONNABORTED && result != -EINTR && result != -EAGAIN) {
    Complete(op, result);
    return;
  }
  if (more) return;
  // The stream ended without a reason of its own (a full completion queue does that).
  if ((Access::kind(*op) & kCancelled) != 0) {
    EndLater(op, -ECANCELED);
  } else {
    Issue(op);
  }
}

void UringIo::DeliverRecv(IoOp* op, int result, uint32_t flags) {
  // The next receive then waits for the socket first instead of looking in vain.
  if (result > 0 && (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0) {
    Access::kind(*op) |= kDrained;
  } else {
    Access::kind(*op) &= static_cast<uint8_t>(~kDrained);
  }
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    const uint16_t id = static_cast<uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
    Access::buffer(*op) = buffers_->Take(id);
    Access::buffer_id(*op) = id;
    // Some kernels spend a buffer on the end of the stream.
    if (result <= 0) ReturnBuffer(op);
  }
  const bool starves = result == -ENOBUFS && (Access::kind(*op) & kKindMask) == kRecv;
  if (!starves) {
    CompleteInTurn(op, result);
    return;
  }
  ++counts_.buffers_exhausted;
  if ((Access::kind(*op) & kCancelled) != 0) {
    Complete(op, -ECANCELED);
  } else if (IsShut(FdOf(*op))) {
    Complete(op, 0);
  } else {
    if (starved_.empty()) starved_since_ = now_;
    starved_.PushBack(op);
  }
}

void UringIo::FeedStarved() {
  if (shut_while_starved_) {
    shut_while_starved_ = false;
    for (IoOp* op = starved_.front(); op != nullptr;) {
      IoOp* next = starved_.Next(op);
      if (IsShut(FdOf(*op))) {
        op->Unlink();
        EndLater(op, 0);
      }
      op = next;
    }
  }
  if (!buffers_->plenty()) buffers_->Grow();
  if (starved_.empty()) {
    buffers_->OfferHeld();
    return;
  }
  uint32_t available = buffers_->available();
  if (available == 0) return;
  if (!buffers_->plenty() && now_ - starved_since_ < kStarvationPatience) return;
  buffers_->OfferHeld();
  starved_since_ = now_;
  // One receive per buffer: more would only come back empty-handed. A receive comes back only when
  // others took its buffer, so this cannot spin.
  for (; available > 0 && !starved_.empty(); --available) Issue(starved_.PopFront());
}

void UringIo::SubmitQueued() {
  if (!wake_watched_) WatchWakeups();
  while (!queued_cancels_.empty()) {
    io_uring_sqe* sqe = NextSqe();
    if (sqe == nullptr) return;
    io_uring_prep_cancel64(sqe, queued_cancels_.front(), 0);
    io_uring_sqe_set_data64(sqe, kCancelTag);
    queued_cancels_.erase(queued_cancels_.begin());
  }
  while (!queued_.empty()) {
    io_uring_sqe* sqe = NextSqe();
    if (sqe == nullptr) return;
    Prepare(sqe, queued_.PopFront());
  }
}

// --- waking up ----------------------------------------------------------------------------------

void UringIo::Wake() {
  const int saved = errno;
  const uint64_t one = 1;
  // It fails only when the counter is full, and then a wake-up is pending anyway.
  [[maybe_unused]] const ssize_t ignored = write(wake_fd_, &one, sizeof(one));
  errno = saved;
}

void UringIo::WatchWakeups() {
  io_uring_sqe* sqe = NextSqe();
  if (sqe == nullptr) return;
  io_uring_prep_poll_multishot(sqe, wake_fd_, POLLIN);
  io_uring_sqe_set_data64(sqe, kWakeTag);
  wake_watched_ = true;
}

int UringIo::TryOperation(uint8_t operation) {
  CHECK(ops_in_flight_ == 0);
  io_uring_sqe* sqe = NextSqe();
  CHECK(sqe != nullptr);
  io_uring_prep_rw(operation, sqe, -1, nullptr, 0, 0);
  io_uring_sqe_set_data64(sqe, kTryTag);
  for (;;) {
    SubmitAndWait(kWaitMax);
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(ring_.get(), &cqe) == 0) {
      const uint64_t user_data = cqe->user_data;
      const Completion completion{.user_data = user_data, .result = cqe->res, .flags = cqe->flags};
      io_uring_cqe_seen(ring_.get(), cqe);
      if (user_data == kTryTag) return completion.result;
      Deliver(completion);
    }
  }
}

}  // namespace postern::io
