#include "proxy/io/epoll_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/status_macros.h"
#include "proxy/io/socket_calls.h"

namespace postern::io {
namespace {

// IoOp's kind: what it is, and whether it has been ended by us.
enum Kind : uint8_t { kAccept = 1, kConnect, kRecv, kRecvInto, kSend, kPoll, kKindMask = 0x0f };
// MSG_MORE: the bytes wait for the end, at most 200 ms.
constexpr uint8_t kLast = 0x10;
constexpr uint8_t kEnded = 0x40;

constexpr uint64_t kWakeData = ~uint64_t{0};
constexpr size_t kEventsPerTurn = 512;
// A crowd of connections shares its turn with the sessions.
constexpr int kAcceptsPerTry = 64;
// How often a turn goes over what its own callbacks started: receive, send, and the next receive
// fit in one turn; timers and mail get their share soon.
constexpr int kRoundsPerTurn = 4;
constexpr DurationNs kWaitMax = 3600 * kSecond;

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// recv(2) with -errno.
ssize_t ReceiveNow(int fd, char* buffer, size_t capacity) {
  ssize_t count = 0;
  do {
    count = recv(fd, buffer, capacity, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

absl::Status EpollError(const char* step, int error) {
  return absl::ResourceExhaustedError(
      absl::StrCat("epoll: ", step, " failed: ", std::strerror(error),
                   error == EMFILE || error == ENFILE
                       ? "; raise the limit of open files (LimitNOFILE in the systemd unit)"
                       : ""));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EpollIo>> EpollIo::Create(const EpollOptions& options) {
  std::unique_ptr<EpollIo> io(new EpollIo(options));
  RETURN_IF_ERROR(io->Init());
  return io;
}

EpollIo::EpollIo(const EpollOptions& options)
    : now_(MonotonicNow()),
      buffers_(options.receive_buffers, options.receive_buffers_max, options.receive_buffer_bytes) {
}

absl::Status EpollIo::Init() {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return EpollError("making the epoll instance", errno);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return EpollError("making the wake-up descriptor", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeData;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0) {
    return EpollError("watching the wake-up descriptor", errno);
  }
  if (!buffers_.Prepare()) return EpollError("allocating the receive buffers", ENOMEM);
  timers_.Advance(now_);
  return absl::OkStatus();
}

EpollIo::~EpollIo() {
  CHECK(ops_in_flight_ == 0);
  CHECK(buffers_.lent() == 0);
  if (wake_fd_ >= 0) close(wake_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

// --- descriptors --------------------------------------------------------------------------------

EpollIo::Descriptor& EpollIo::At(int fd) {
  CHECK(fd >= 0);
  const size_t index = static_cast<size_t>(fd);
  if (index >= descriptors_.size()) descriptors_.resize(index + 64);
  return descriptors_[index];
}

void EpollIo::Forget(int fd) {
  if (fd < 0 || static_cast<size_t>(fd) >= descriptors_.size()) return;
  Descriptor& descriptor = At(fd);
  CHECK(descriptor.reader == nullptr && descriptor.writer == nullptr);
  const uint32_t generation = descriptor.generation + 1;
  descriptor = Descriptor();
  descriptor.generation = generation;
}

int EpollIo::OpenSocket(int family) {
  const int fd = OpenStreamSocket(family);
  if (fd >= 0) Forget(fd);
  return fd;
}

void EpollIo::Shutdown(int fd, int how) {
  shutdown(fd, how);
  Descriptor& descriptor = At(fd);
  // Pending operations learn it from the system call, those that wait for something else from us.
  descriptor.writable = true;
  IoOp* writer = descriptor.writer;
  if (how != SHUT_WR) {
    descriptor.readable = true;
    descriptor.shut = true;
    IoOp* reader = descriptor.reader;
    if (reader != nullptr) {
      // It may be among the starved, where no system call is tried.
      if ((Access::kind(*reader) & kEnded) == 0) reader->Unlink();
      Kick(reader);
    }
    if (writer != nullptr && (Access::kind(*writer) & kKindMask) == kConnect) {
      EndLater(writer, -ECANCELED);
      return;
    }
  }
  if (writer != nullptr) Kick(writer);
}

void EpollIo::SetAbortiveClose(int fd) { ResetOnClose(fd); }

void EpollIo::Close(int fd) {
  if (fd < 0) return;
  const Descriptor& descriptor = At(fd);
  // close(2) alone ends the watch only with the last descriptor of the socket: another worker may
  // have one.
  if (descriptor.watched && descriptor.listening) {
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  }
  Forget(fd);
  close(fd);
}

SocketAddress EpollIo::PeerAddress(int fd) { return PeerAddressOf(fd); }

SocketAddress EpollIo::LocalAddress(int fd) { return LocalAddressOf(fd); }

// --- starting operations ------------------------------------------------------------------------

void EpollIo::Begin(IoOp* op, int fd, uint8_t kind) {
  Start(op, fd);
  Access::kind(*op) = kind;
  Descriptor& descriptor = At(fd);
  const bool reads = kind == kRecv || kind == kRecvInto || kind == kAccept;
  IoOp*& place = reads ? descriptor.reader : descriptor.writer;
  CHECK(place == nullptr);
  place = op;
  if (reads ? descriptor.readable : descriptor.writable) Kick(op);
}

void EpollIo::Accept(int listen_fd, IoOp* op) {
  // Somebody else may have taken the connection we were told of: then accept4(2) must not wait.
  const int flags = fcntl(listen_fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK);
  At(listen_fd).listening = true;
  Begin(op, listen_fd, kAccept);
}

void EpollIo::Connect(int fd, const SocketAddress& address, IoOp* op) {
  Access::data(*op) = address.data();
  Access::size(*op) = address.length();
  Begin(op, fd, kConnect);
}

void EpollIo::Recv(int fd, IoOp* op) {
  CHECK(Access::buffer(*op) == nullptr);
  Begin(op, fd, kRecv);
}

void EpollIo::RecvInto(int fd, char* buffer, size_t capacity, IoOp* op) {
  CHECK(Access::buffer(*op) == nullptr && capacity > 0);
  Access::buffer(*op) = buffer;
  Access::buffer_id(*op) = kOwnBuffer;
  Access::size(*op) = capacity;
  Begin(op, fd, kRecvInto);
}

void EpollIo::SendLast(int fd, absl::string_view bytes, IoOp* op) {
  Access::data(*op) = bytes.data();
  Access::size(*op) = bytes.size();
  Begin(op, fd, kSend | kLast);
}

void EpollIo::PollSend(int fd, IoOp* op) {
  // What was noted earlier may be stale either way: whoever asks may have filled the socket with
  // splice(2), which is not seen here, or may not have been told to wait at all.
  At(fd).writable = true;
  Begin(op, fd, kPoll);
}

void EpollIo::Send(int fd, absl::string_view bytes, IoOp* op) {
  Access::data(*op) = bytes.data();
  Access::size(*op) = bytes.size();
  Begin(op, fd, kSend);
}

void EpollIo::Kick(IoOp* op) {
  if (!op->linked()) ready_.PushBack(op);
}

void EpollIo::Cancel(IoOp* op) {
  if (op->in_flight() && !Waits(*op)) EndLater(op, -ECANCELED);
}

void EpollIo::EndLater(IoOp* op, int result) {
  uint8_t& kind = Access::kind(*op);
  if ((kind & kEnded) != 0) return;
  kind |= kEnded;
  Access::size(*op) = static_cast<size_t>(-result);
  op->Unlink();
  ended_.PushBack(op);
}

void EpollIo::Finish(IoOp* op, int result) {
  // An accept's own callback may have kicked it.
  op->Unlink();
  Descriptor& descriptor = At(FdOf(*op));
  (descriptor.reader == op ? descriptor.reader : descriptor.writer) = nullptr;
  CompleteInTurn(op, result);
}

void EpollIo::ReturnBuffer(IoOp* op) {
  if (Access::buffer(*op) == nullptr) return;
  Access::buffer(*op) = nullptr;
  if (Access::buffer_id(*op) == kOwnBuffer) return;
  buffers_.Return(Access::buffer_id(*op));
}

// --- the loop -----------------------------------------------------------------------------------

void EpollIo::RunOnce(DurationNs wait_max) {
  ++counts_.turns;
  const uint64_t completions = counts_.completions;
  Wait(WaitFor(wait_max));
  RunEnded();
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    FeedStarved();
    if (ready_.empty()) break;
    RunReady();
  }
  RunBackground();
  if (counts_.completions != completions) now_ = MonotonicNow();
  timers_.Advance(now_);
}

DurationNs EpollIo::WaitFor(DurationNs wait_max) const {
  if (!ended_.empty() || !ready_.empty() || background_waits()) return 0;
  if (!starved_.empty() && buffers_.available() > 0) return 0;
  DurationNs wait = std::min(wait_max, kWaitMax);
  if (const TimeNs deadline = timers_.NextDeadline(); deadline != kNever) {
    wait = std::min(wait, deadline - MonotonicNow());
  }
  return std::max<DurationNs>(wait, 0);
}

void EpollIo::Wait(DurationNs wait) {
  // Rounded up: waking before a timer is due would only turn the loop once more.
  // epoll_pwait2(2) would be exact, but old seccomp profiles do not know it.
  const int milliseconds = static_cast<int>((wait + kMillisecond - 1) / kMillisecond);
  std::array<epoll_event, kEventsPerTurn> events;
  const int count =
      epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), milliseconds);
  CHECK(count >= 0 || errno == EINTR);
  now_ = MonotonicNow();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    NoteEvent(event.data.u64, event.events);
  }
}

void EpollIo::NoteEvent(uint64_t data, uint32_t events) {
  if (data == kWakeData) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = read(wake_fd_, &count, sizeof(count));
    return;
  }
  Descriptor& descriptor = At(static_cast<int>(data & 0xffffffffu));
  if (descriptor.generation != static_cast<uint32_t>(data >> 32)) return;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) descriptor.read_on = true;
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) {
    descriptor.readable = true;
    if (descriptor.reader != nullptr) Kick(descriptor.reader);
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    descriptor.writable = true;
    if (descriptor.writer != nullptr) Kick(descriptor.writer);
  }
}

void EpollIo::RunEnded() {
  // Only what is there now: an operation ended by these callbacks waits for the next turn.
  IntrusiveList<IoOp> ended;
  while (IoOp* op = ended_.PopFront()) ended.PushBack(op);
  while (IoOp* op = ended.PopFront()) Finish(op, -static_cast<int>(Access::size(*op)));
}

void EpollIo::RunReady() {
  IntrusiveList<IoOp> ready;
  while (IoOp* op = ready_.PopFront()) ready.PushBack(op);
  while (IoOp* op = ready.PopFront()) {
    const bool receives = (Access::kind(*op) & kKindMask) == kRecv;
    // Others have waited longer for a buffer.
    if (receives && !starved_.empty() && !At(FdOf(*op)).shut) {
      starved_.PushBack(op);
    } else {
      Try(op);
    }
  }
}

void EpollIo::FeedStarved() {
  // As many as there are buffers now: callbacks that give theirs back at once feed the next round.
  for (uint32_t left = buffers_.available(); left > 0 && !starved_.empty(); --left) {
    if (buffers_.available() == 0) return;
    TryRecv(starved_.PopFront());
  }
}

void EpollIo::Try(IoOp* op) {
  switch (Access::kind(*op) & kKindMask) {
    case kAccept:
      return TryAccept(op);
    case kConnect:
      return TryConnect(op);
    case kRecv:
      return TryRecv(op);
    case kRecvInto:
      return TryRecvInto(op);
    case kPoll:
      return TryPoll(op);
    default:
      return TrySend(op);
  }
}

void EpollIo::TryAccept(IoOp* op) {
  const int listen_fd = FdOf(*op);
  for (int i = 0; i < kAcceptsPerTry; ++i) {
    const int fd = accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Forget(fd);
      Complete(op, fd, /*more=*/true);
      if ((Access::kind(*op) & kEnded) != 0) return;
    } else if (WouldBlock(errno)) {
      return Rest(op);
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return Finish(op, -errno);
    }
  }
  Kick(op);
}

void EpollIo::TryConnect(IoOp* op) {
  // The second time it tells how the first went: 0, a reason, or EALREADY.
  const auto* address = static_cast<const sockaddr*>(Access::data(*op));
  if (connect(FdOf(*op), address, static_cast<socklen_t>(Access::size(*op))) == 0 ||
      errno == EISCONN) {
    return Finish(op, 0);
  }
  if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) return Rest(op);
  Finish(op, -errno);
}

void EpollIo::TryRecv(IoOp* op) {
  const int fd = FdOf(*op);
  uint16_t id = 0;
  char* buffer = buffers_.Lend(&id);
  if (buffer == nullptr) {
    ++counts_.buffers_exhausted;
    if (At(fd).shut) return Finish(op, 0);
    starved_.PushBack(op);
    return;
  }
  const ssize_t count = ReceiveNow(fd, buffer, buffers_.bytes());
  if (count > 0) {
    Access::buffer(*op) = buffer;
    Access::buffer_id(*op) = id;
  } else {
    buffers_.Return(id);
  }
  Received(op, count, buffers_.bytes());
}

void EpollIo::TryRecvInto(IoOp* op) {
  const size_t capacity = Access::size(*op);
  Received(op, ReceiveNow(FdOf(*op), Access::buffer(*op), capacity), capacity);
}

void EpollIo::Received(IoOp* op, ssize_t count, size_t capacity) {
  if (count < 0 && WouldBlock(static_cast<int>(-count))) return Rest(op);
  Descriptor& descriptor = At(FdOf(*op));
  // A short read has emptied the socket: what comes later brings an event.
  if (count > 0 && count < static_cast<ssize_t>(capacity) && descriptor.watched &&
      !descriptor.read_on) {
    descriptor.readable = false;
  }
  Finish(op, static_cast<int>(count));
}

void EpollIo::TryPoll(IoOp* op) {
  // An edge comes only after somebody was told to wait: poll(2) tells, and asks for the edge.
  pollfd now{.fd = FdOf(*op), .events = POLLOUT, .revents = 0};
  if (poll(&now, 1, 0) > 0) return Finish(op, now.revents);
  Rest(op);
}

void EpollIo::TrySend(IoOp* op) {
  // A completion counts bytes in an int.
  constexpr size_t kSendMax = size_t{1} << 30;
  const int more = (Access::kind(*op) & kLast) != 0 ? MSG_MORE : 0;
  ssize_t count = 0;
  do {
    count = send(FdOf(*op), Access::data(*op), std::min(Access::size(*op), kSendMax),
                 MSG_NOSIGNAL | MSG_DONTWAIT | more);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && WouldBlock(errno)) return Rest(op);
  Finish(op, count < 0 ? -errno : static_cast<int>(count));
}

void EpollIo::Rest(IoOp* op) {
  const int fd = FdOf(*op);
  Descriptor& descriptor = At(fd);
  // What became ready before the watch is reported with it.
  if (!descriptor.watched && !Watch(fd)) return Finish(op, -errno);
  (descriptor.reader == op ? descriptor.readable : descriptor.writable) = false;
}

bool EpollIo::Watch(int fd) {
  Descriptor& descriptor = At(fd);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.u64 = (static_cast<uint64_t>(descriptor.generation) << 32) | static_cast<uint32_t>(fd);
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0 &&
      (errno != EEXIST || epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) != 0)) {
    return false;
  }
  descriptor.watched = true;
  return true;
}

// --- waking up ----------------------------------------------------------------------------------

void EpollIo::Wake() {
  const int saved = errno;
  const uint64_t one = 1;
  // It fails only when the counter is full, and then a wake-up is pending anyway.
  [[maybe_unused]] const ssize_t ignored = write(wake_fd_, &one, sizeof(one));
  errno = saved;
}

}  // namespace postern::io
