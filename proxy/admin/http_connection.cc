#include "proxy/admin/http_connection.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace postern::admin {
namespace {

constexpr DurationNs kFinishTimeout = kSecond;
constexpr size_t kFinishBytesMax = 256 * 1024;

// For poll(2): rounded up, so that a wait never ends before its deadline.
int MillisecondsUntil(TimeNs deadline) {
  const TimeNs left = deadline - MonotonicNow();
  if (left <= 0) return 0;
  return static_cast<int>((std::min(left, 3600 * kSecond) + kMillisecond - 1) / kMillisecond);
}

}  // namespace

HttpConnection::HttpConnection(int fd, int stop_fd, const Limits& limits)
    : fd_(fd), stop_fd_(stop_fd), limits_(limits) {}

HttpConnection::~HttpConnection() { close(fd_); }

bool HttpConnection::AwaitRequest(int yield_fd, DurationNs grace) {
  const TimeNs began = MonotonicNow();
  const TimeNs deadline = began + limits_.idle_timeout;
  const TimeNs yields_at = began + std::min(grace, limits_.idle_timeout);
  while (begin_ == end_) {
    const bool yields = MonotonicNow() >= yields_at;
    pollfd fds[3] = {{fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}, {yields ? yield_fd : -1, POLLIN, 0}};
    const int ready = poll(fds, 3, MillisecondsUntil(yields ? deadline : yields_at));
    if ((ready < 0 && errno == EINTR) || (ready == 0 && !yields)) continue;
    if (ready <= 0 || fds[1].revents != 0) return false;
    // A request that is already here goes before somebody who waits.
    if (fds[0].revents == 0) return false;
    const ssize_t length = Fill(deadline);
    if (length <= 0) return false;
  }
  read_deadline_ = MonotonicNow() + limits_.read_timeout;
  write_deadline_ = 0;
  request_bytes_left_ = limits_.request_bytes;
  return true;
}

void HttpConnection::Finish() {
  shutdown(fd_, SHUT_WR);
  const TimeNs deadline = MonotonicNow() + kFinishTimeout;
  size_t total = 0;
  while (total < kFinishBytesMax) {
    const ssize_t length = Fill(deadline);
    if (length <= 0) return;
    total += static_cast<size_t>(length);
  }
}

bool HttpConnection::Wait(short events, TimeNs deadline) const {
  for (;;) {
    pollfd fds[2] = {{fd_, events, 0}, {stop_fd_, POLLIN, 0}};
    const int ready = poll(fds, 2, MillisecondsUntil(deadline));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && fds[1].revents == 0;
  }
}

ssize_t HttpConnection::Fill(TimeNs deadline) {
  begin_ = end_ = 0;
  for (;;) {
    const ssize_t length = recv(fd_, buffer_.data(), buffer_.size(), 0);
    if (length >= 0) {
      end_ = static_cast<size_t>(length);
      return length;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN || !Wait(POLLIN, deadline)) return -1;
  }
}

bool HttpConnection::is_readable() const { return begin_ != end_; }
bool HttpConnection::is_writable() const { return wait_writable(); }
bool HttpConnection::wait_readable() const {
  return begin_ != end_ || Wait(POLLIN, read_deadline_);
}
bool HttpConnection::wait_writable() const {
  return Wait(POLLOUT,
              write_deadline_ != 0 ? write_deadline_ : MonotonicNow() + limits_.write_timeout);
}

ssize_t HttpConnection::read(char* data, size_t size) {
  if (MonotonicNow() >= read_deadline_ || request_bytes_left_ == 0) return -1;
  if (begin_ == end_) {
    const ssize_t length = Fill(read_deadline_);
    if (length <= 0) return length;
  }
  const size_t taken = std::min({size, end_ - begin_, request_bytes_left_});
  memcpy(data, buffer_.data() + begin_, taken);
  begin_ += taken;
  request_bytes_left_ -= taken;
  return static_cast<ssize_t>(taken);
}

ssize_t HttpConnection::write(const char* data, size_t size) {
  if (write_deadline_ == 0) write_deadline_ = MonotonicNow() + limits_.write_timeout;
  size_t sent = 0;
  while (sent < size) {
    if (MonotonicNow() >= write_deadline_) return -1;
    const ssize_t length = send(fd_, data + sent, size - sent, MSG_NOSIGNAL);
    if (length >= 0) {
      sent += static_cast<size_t>(length);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN || !Wait(POLLOUT, write_deadline_)) return -1;
  }
  return static_cast<ssize_t>(size);
}

// Nobody here asks who the peer is: it is never logged nor counted.
void HttpConnection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}
void HttpConnection::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}
int HttpConnection::socket() const { return fd_; }
time_t HttpConnection::duration() const { return 0; }

}  // namespace postern::admin
