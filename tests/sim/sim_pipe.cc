// Pipes of the simulated world: bytes that go from socket to socket inside the kernel.
#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "tests/sim/sim_io.h"

namespace postern::sim {
namespace {

// Small, so that a pipe is often full.
constexpr size_t kPipeBytes = 4096;

}  // namespace

bool SimIo::OpenPipe(io::KernelPipe* pipe) {
  if (Fails(scheduler_.plan().open_socket_error)) return false;
  pipe->read_fd = next_fd_++;
  pipe->write_fd = next_fd_++;
  pipe->bytes = 0;
  pipes_[pipe->read_fd];
  return true;
}

void SimIo::ClosePipe(io::KernelPipe* pipe) {
  if (!pipe->open()) return;
  if (pipes_.erase(pipe->read_fd) == 0) Violation("ClosePipe of a pipe that is not open");
  *pipe = io::KernelPipe();
}

size_t SimIo::ReadableBytes(int fd) {
  Descriptor* descriptor = Find(fd, "ReadableBytes");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kStream) return 0;
  return descriptor->connection->Unread(0).size();
}

ssize_t SimIo::MoveIn(int fd, io::KernelPipe* pipe, size_t bytes_max) {
  Descriptor* descriptor = Find(fd, "MoveIn");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kStream) return -ENOTCONN;
  std::string& content = pipes_.at(pipe->read_fd);
  size_t bytes = std::min(bytes_max, kPipeBytes - content.size());
  if (bytes == 0 || !descriptor->connection->readable(0)) return -EAGAIN;
  if (random().Chance(scheduler_.plan().short_receive)) bytes = 1 + random().Below(bytes);
  std::string moved(bytes, '\0');
  const int count = descriptor->connection->Read(0, moved.data(), bytes);
  if (count <= 0) return count;
  content.append(moved, 0, static_cast<size_t>(count));
  pipe->bytes += static_cast<size_t>(count);
  if (pipe->bytes != content.size()) Violation("a pipe whose count is wrong");
  return count;
}

ssize_t SimIo::MoveOut(io::KernelPipe* pipe, int fd) {
  Descriptor* descriptor = Find(fd, "MoveOut");
  if (descriptor == nullptr || descriptor->kind != Descriptor::Kind::kStream) return -ENOTCONN;
  if (descriptor->send != nullptr) Violation("MoveOut while a Send is in flight");
  std::string& content = pipes_.at(pipe->read_fd);
  CHECK(!content.empty());
  absl::string_view bytes(content);
  if (random().Chance(scheduler_.plan().short_send)) {
    bytes = bytes.substr(0, 1 + random().Below(bytes.size()));
  }
  const int sent = descriptor->connection->Write(0, bytes);
  if (sent <= 0) return sent;
  content.erase(0, static_cast<size_t>(sent));
  pipe->bytes -= static_cast<size_t>(sent);
  bytes_moved_ += static_cast<size_t>(sent);
  return sent;
}

}  // namespace postern::sim
