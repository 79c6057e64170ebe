// What the tests of Io's implementations share: an Io, sockets that close themselves, and bounded
// waiting.
#ifndef POSTERN_TESTS_IO_IO_FIXTURE_H_
#define POSTERN_TESTS_IO_IO_FIXTURE_H_

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "proxy/io/epoll_io.h"
#include "proxy/io/make_io.h"
#include "proxy/io/uring_io.h"

namespace postern::io {

// An operation that remembers how it ended.
struct Probe {
  Probe() : op(&Probe::Done, this) {}
  static void Done(IoOp& op, void* owner) {
    auto* self = static_cast<Probe*>(owner);
    self->results.push_back(op.result());
    if (self->then) self->then();
  }
  bool done() const { return !results.empty() && !op.in_flight(); }
  int result() const { return results.empty() ? -9999 : results.back(); }

  IoOp op;
  std::vector<int> results;
  std::function<void()> then;
};

class IoFixture : public testing::Test {
 protected:
  explicit IoFixture(IoKind kind) : kind_(kind) {}

  void Make(const UringOptions& options = UringOptions()) {
    auto made = MakeIo(kind_, options);
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_EQ(made->kind, kind_);
    io_ = std::move(made->io);
  }
  void SetUp() override { Make(); }
  void TearDown() override {
    for (const int fd : fds_) close(fd);
    io_.reset();
  }

  // Turns until `condition`; fails after a bounded number of them.
  void RunUntil(const std::function<bool()>& condition, int turns_max = 2000,
                DurationNs wait = 50 * kMillisecond) {
    for (int turn = 0; turn < turns_max; ++turn) {
      if (condition()) return;
      io_->RunOnce(wait);
    }
    FAIL() << "condition not reached in " << turns_max << " turns";
  }
  // Lets everything that can happen at once happen.
  void Settle() {
    for (int turn = 0; turn < 5; ++turn) io_->RunOnce(0);
  }

  int Own(int fd) {
    EXPECT_GE(fd, 0) << errno;
    fds_.push_back(fd);
    return fd;
  }
  std::pair<int, int> Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    return {Own(fds[0]), Own(fds[1])};
  }
  int Listen(SocketAddress* address, int backlog = 512) {
    const int fd = Own(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    *address = *SocketAddress::Parse("127.0.0.1:0");
    EXPECT_EQ(bind(fd, address->data(), address->length()), 0);
    EXPECT_EQ(listen(fd, backlog), 0);
    *address = io_->LocalAddress(fd);
    return fd;
  }
  // A connected TCP pair: ours, theirs.
  std::pair<int, int> TcpPair() {
    SocketAddress address;
    const int listener = Listen(&address);
    const int theirs = Own(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(theirs, address.data(), address.length()), 0);
    const int ours = Own(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return {ours, theirs};
  }
  void Write(int fd, absl::string_view bytes) {
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  uint32_t BuffersMade() const {
    return kind_ == IoKind::kUring ? Uring().buffers_made() : Epoll().buffers_made();
  }
  uint32_t BuffersLent() const {
    return kind_ == IoKind::kUring ? Uring().buffers_lent() : Epoll().buffers_lent();
  }
  const UringIo& Uring() const { return static_cast<const UringIo&>(*io_); }
  const EpollIo& Epoll() const { return static_cast<const EpollIo&>(*io_); }

  const IoKind kind_;
  std::unique_ptr<Io> io_;
  std::vector<int> fds_;
};

// What every implementation owes its callers.
class IoTest : public IoFixture, public testing::WithParamInterface<IoKind> {
 protected:
  IoTest() : IoFixture(GetParam()) {}
};

inline auto BothKinds() { return testing::Values(IoKind::kUring, IoKind::kEpoll); }
inline std::string KindOfTest(const testing::TestParamInfo<IoKind>& info) {
  return IoKindName(info.param);
}

}  // namespace postern::io

#endif  // POSTERN_TESTS_IO_IO_FIXTURE_H_
