#include "proxy/io/io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "proxy/io/socket_calls.h"

namespace postern::io {
namespace {

// Linux lets anybody have this much (fs.pipe-max-size), until all pipes of a user hold 64 MiB
// (fs.pipe-user-pages-soft); then the pipe stays as it is.
constexpr int kPipeBytes = 1 << 20;

// Of one turn, for background operations: about four handshakes.
constexpr DurationNs kBackgroundShare = kMillisecond;

ssize_t Splice(int from, int to, size_t bytes) {
  ssize_t moved = 0;
  do {
    moved = splice(from, nullptr, to, nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  } while (moved < 0 && errno == EINTR);
  return moved < 0 ? -errno : moved;
}

}  // namespace

void Io::RunBackground() {
  const TimeNs end = MonotonicNow() + kBackgroundShare;
  while (IoOp* op = background_.PopFront()) {
    op->waits_ = false;
    --background_count_;
    Complete(op, op->result_);
    if (MonotonicNow() >= end) return;
  }
}

void Io::EnableKeepalive(int fd) { io::EnableKeepalive(fd); }

// Plain system calls: IORING_OP_SPLICE always takes a detour through a kernel helper thread
// (Linux 6.18), and costs twice as much.

bool Io::OpenPipe(KernelPipe* pipe) {
  int fds[2];
  if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) return false;
  *pipe = KernelPipe{.read_fd = fds[0], .write_fd = fds[1], .bytes = 0};
  fcntl(pipe->write_fd, F_SETPIPE_SZ, kPipeBytes);
  return true;
}

void Io::ClosePipe(KernelPipe* pipe) {
  if (!pipe->open()) return;
  close(pipe->read_fd);
  close(pipe->write_fd);
  *pipe = KernelPipe();
}

size_t Io::ReadableBytes(int fd) {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

ssize_t Io::MoveIn(int fd, KernelPipe* pipe, size_t bytes_max) {
  const ssize_t moved = Splice(fd, pipe->write_fd, bytes_max);
  if (moved > 0) pipe->bytes += static_cast<size_t>(moved);
  return moved;
}

ssize_t Io::MoveOut(KernelPipe* pipe, int fd) {
  const ssize_t moved = Splice(pipe->read_fd, fd, pipe->bytes);
  if (moved > 0) pipe->bytes -= static_cast<size_t>(moved);
  return moved;
}

}  // namespace postern::io
