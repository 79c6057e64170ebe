#include "proxy/io/epoll_io.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/io/io_fixture.h"

namespace postern::io {
namespace {

// Where edges could be missed; the contract of Io is in io_test.cc.
class EpollIoTest : public IoFixture {
 protected:
  EpollIoTest() : IoFixture(IoKind::kEpoll) {}
  // Receives until `count` bytes have come.
  std::string Read(int fd, size_t count) {
    std::string bytes;
    Probe recv;
    while (bytes.size() < count) {
      recv.results.clear();
      io_->Recv(fd, &recv.op);
      RunUntil([&] { return recv.done(); });
      if (recv.result() <= 0) break;
      bytes += std::string(io_->ReceivedBytes(recv.op));
      io_->ReturnBuffer(&recv.op);
    }
    return bytes;
  }
  // Makes `fd` one that epoll knows.
  void Rested(int fd) {
    Probe recv;
    io_->Recv(fd, &recv.op);
    Settle();
    ASSERT_TRUE(recv.op.in_flight());
    io_->Cancel(&recv.op);
    RunUntil([&] { return recv.done(); });
  }
};

TEST_F(EpollIoTest, BytesThatCameBeforeTheReceiveAreFound) {
  const auto [ours, theirs] = TcpPair();
  Rested(ours);
  for (int round = 0; round < 3; ++round) {
    Write(theirs, "STAT\r\n");
    // The event comes and goes with nobody waiting for it.
    Settle();
    EXPECT_EQ(Read(ours, 6), "STAT\r\n");
  }
}

TEST_F(EpollIoTest, TheEndBehindAShortReadIsSeen) {
  const auto [ours, theirs] = TcpPair();
  Rested(ours);
  Write(theirs, "QUIT\r\n");
  shutdown(theirs, SHUT_WR);
  EXPECT_EQ(Read(ours, 100), "QUIT\r\n");
}

TEST_F(EpollIoTest, UrgentDataHidesNothingBehindIt) {
  // A receive stops before the urgent byte: a short read, with more behind it.
  const auto [ours, theirs] = TcpPair();
  Rested(ours);
  Write(theirs, "before");
  ASSERT_EQ(send(theirs, "!", 1, MSG_OOB), 1);
  Write(theirs, "behind");
  EXPECT_EQ(Read(ours, 12), "beforebehind");
}

TEST_F(EpollIoTest, MoreThanABufferAtOnceIsReadWhole) {
  io_.reset();
  UringOptions options;
  options.receive_buffer_bytes = 64;
  Make(options);
  const auto [ours, theirs] = TcpPair();
  Rested(ours);
  const std::string bytes(64 * 5, 'x');
  Write(theirs, bytes);
  EXPECT_EQ(Read(ours, bytes.size()), bytes);
}

TEST_F(EpollIoTest, ADescriptorNumberUsedAgainIsNew) {
  for (int round = 0; round < 20; ++round) {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
    Rested(pair[0]);
    // An event of this life is on its way when the next begins.
    Write(pair[1], "old");
    io_->Close(pair[0]);
    close(pair[1]);
  }
  const auto [ours, theirs] = Pair();
  Probe recv;
  io_->Recv(ours, &recv.op);
  Settle();
  EXPECT_FALSE(recv.done());
  Write(theirs, "new");
  RunUntil([&] { return recv.done(); });
  EXPECT_EQ(io_->ReceivedBytes(recv.op), "new");
  io_->ReturnBuffer(&recv.op);
}

TEST_F(EpollIoTest, AListenerSharedWithOthersLeavesNoEventsBehind) {
  SocketAddress address;
  const int listener = Listen(&address);
  const int ours = dup(listener);  // another worker keeps `listener`
  Probe accept;
  io_->Accept(ours, &accept.op);
  Settle();
  io_->Cancel(&accept.op);
  RunUntil([&] { return !accept.op.in_flight(); });
  io_->Close(ours);
  const int client = Own(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(client, address.data(), address.length()), 0);
  const uint64_t turns = io_->counts().turns;
  const TimeNs start = MonotonicNow();
  // The connection that waits at `listener` must not end our wait.
  io_->RunOnce(30 * kMillisecond);
  EXPECT_GE(MonotonicNow() - start, 30 * kMillisecond);
  EXPECT_EQ(io_->counts().turns, turns + 1);
}

TEST_F(EpollIoTest, AConnectionTakenBySomebodyElseDoesNotBlockTheLoop) {
  SocketAddress address;
  const int listener = Listen(&address);  // a blocking one
  Probe accept;
  io_->Accept(listener, &accept.op);
  Settle();
  const int client = Own(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(client, address.data(), address.length()), 0);
  Own(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  Settle();
  EXPECT_TRUE(accept.results.empty());
  io_->Cancel(&accept.op);
  RunUntil([&] { return !accept.op.in_flight(); });
}

TEST_F(EpollIoTest, ACrowdOfConnectionsLetsOthersHaveTheirTurn) {
  SocketAddress address;
  const int listener = Listen(&address);
  for (int i = 0; i < 400; ++i) {
    const int client = Own(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(client, address.data(), address.length()), 0);
  }
  Probe accept;
  io_->Accept(listener, &accept.op);
  io_->RunOnce(0);
  const size_t first = accept.results.size();
  EXPECT_GT(first, 0u);
  EXPECT_LT(first, 400u);
  RunUntil([&] { return accept.results.size() == 400; });
  for (const int fd : accept.results) Own(fd);
  io_->Cancel(&accept.op);
  RunUntil([&] { return !accept.op.in_flight(); });
}

TEST_F(EpollIoTest, ShutdownAloneEndsAPendingConnect) {
  SocketAddress address;
  Listen(&address, 0);
  std::vector<std::unique_ptr<Probe>> connects;
  std::vector<int> sockets;
  for (int i = 0; i < 8; ++i) {
    connects.push_back(std::make_unique<Probe>());
    sockets.push_back(Own(io_->OpenSocket(AF_INET)));
    io_->Connect(sockets.back(), address, &connects.back()->op);
  }
  Settle();
  ASSERT_TRUE(connects.back()->op.in_flight());
  for (const int fd : sockets) io_->Shutdown(fd, SHUT_RDWR);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  EXPECT_EQ(connects.back()->result(), -ECANCELED);
}

TEST_F(EpollIoTest, AListenerShutDownInItsOwnCallbackEndsOnce) {
  SocketAddress address;
  const int listener = Listen(&address);
  Probe accept;
  accept.then = [&] {
    if (accept.result() < 0) return;
    Own(accept.result());
    io_->Shutdown(listener, SHUT_RDWR);
  };
  io_->Accept(listener, &accept.op);
  const int client = Own(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(client, address.data(), address.length()), 0);
  RunUntil([&] { return !accept.op.in_flight(); });
  Settle();
  EXPECT_EQ(accept.results.size(), 2u);
  EXPECT_EQ(io_->ops_in_flight(), 0u);
}

}  // namespace
}  // namespace postern::io
