#include "proxy/io/io.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/io/io_fixture.h"

namespace postern::io {
namespace {

TEST_P(IoTest, ReceivesAndSends) {
  const auto [ours, theirs] = Pair();
  Probe recv;
  io_->Recv(ours, &recv.op);
  Settle();
  EXPECT_FALSE(recv.done());
  EXPECT_EQ(io_->ops_in_flight(), 1u);
  Write(theirs, "USER anna\r\n");
  RunUntil([&] { return recv.done(); });
  EXPECT_EQ(io_->ReceivedBytes(recv.op), "USER anna\r\n");
  EXPECT_TRUE(io_->HasBuffer(recv.op));
  EXPECT_EQ(BuffersLent(), 1u);
  io_->ReturnBuffer(&recv.op);
  io_->ReturnBuffer(&recv.op);
  EXPECT_FALSE(io_->HasBuffer(recv.op));
  EXPECT_EQ(BuffersLent(), 0u);

  Probe send;
  io_->Send(ours, "+OK\r\n", &send.op);
  EXPECT_FALSE(send.done()) << "a completion may not run inside the call";
  RunUntil([&] { return send.done(); });
  EXPECT_EQ(send.result(), 5);
  std::array<char, 16> buffer{};
  EXPECT_EQ(read(theirs, buffer.data(), buffer.size()), 5);
  EXPECT_EQ(io_->ops_in_flight(), 0u);
}

TEST_P(IoTest, ReceivesIntoTheCallersMemory) {
  const auto [ours, theirs] = TcpPair();
  std::string memory(100000, '\0');
  const std::string text(70000, 'm');
  size_t received = 0;
  Probe recv;
  std::thread peer([fd = theirs, &text] {
    for (size_t at = 0; at < text.size();) {
      const ssize_t count = write(fd, text.data() + at, text.size() - at);
      if (count <= 0) return;
      at += static_cast<size_t>(count);
    }
    shutdown(fd, SHUT_WR);
  });
  for (;;) {
    recv.results.clear();
    io_->RecvInto(ours, memory.data() + received, memory.size() - received, &recv.op);
    RunUntil([&] { return recv.done(); });
    if (recv.result() <= 0) break;
    EXPECT_EQ(io_->ReceivedBytes(recv.op).data(), memory.data() + received);
    EXPECT_EQ(BuffersLent(), 0u);
    received += static_cast<size_t>(recv.result());
    io_->ReturnBuffer(&recv.op);
    EXPECT_FALSE(io_->HasBuffer(recv.op));
  }
  peer.join();
  EXPECT_EQ(recv.result(), 0);
  io_->ReturnBuffer(&recv.op);
  EXPECT_EQ(memory.substr(0, received), text);
}

// Its callback takes longer than what background operations may take of a turn.
struct SlowProbe : Probe {
  SlowProbe() {
    op.set_background(true);
    then = [] {
      const TimeNs end = MonotonicNow() + 5 * kMillisecond;
      while (MonotonicNow() < end) {
      }
    };
  }
};

TEST_P(IoTest, BackgroundOperationsComeLastAndGetAShareOfATurn) {
  constexpr size_t kSlow = 4;
  std::vector<std::unique_ptr<SlowProbe>> slow;
  std::vector<std::string> order;
  for (size_t i = 0; i < kSlow; ++i) {
    const auto [ours, theirs] = TcpPair();
    Write(theirs, "hello");
    slow.push_back(std::make_unique<SlowProbe>());
    slow.back()->then = [&order, i, busy = slow.back()->then] {
      order.push_back(std::to_string(i));
      busy();
    };
    io_->Recv(ours, &slow.back()->op);
  }
  const auto [ours, theirs] = TcpPair();
  Probe quick;
  quick.then = [&] {
    order.push_back("quick");
    io_->ReturnBuffer(&quick.op);
    if (slow.back()->done()) return;
    Write(theirs, "NOOP");
    io_->Recv(ours, &quick.op);
  };
  Write(theirs, "NOOP");
  io_->Recv(ours, &quick.op);
  RunUntil([&] { return slow.back()->done() && !quick.op.in_flight(); });
  // The quick one comes first, and again between any two slow ones.
  EXPECT_EQ(order.front(), "quick");
  for (size_t i = 1; i < order.size(); ++i) {
    EXPECT_TRUE(order[i - 1] == "quick" || order[i] == "quick") << i;
  }
  for (const auto& probe : slow) {
    EXPECT_EQ(io_->ReceivedBytes(probe->op), "hello");
    io_->ReturnBuffer(&probe->op);
  }
}

TEST_P(IoTest, BackgroundOperationsDoNotPinBuffersWithoutBound) {
  constexpr size_t kTooMany = 20;
  UringOptions options;
  options.receive_buffers = 2 * Io::kBackgroundMax;  // so that all complete in one turn
  Make(options);
  std::vector<std::unique_ptr<SlowProbe>> slow;
  for (size_t i = 0; i < Io::kBackgroundMax + kTooMany; ++i) {
    const auto [ours, theirs] = Pair();
    Write(theirs, "hello");
    slow.push_back(std::make_unique<SlowProbe>());
    slow.back()->then = [&, i, busy = slow.back()->then] {
      busy();
      io_->ReturnBuffer(&slow[i]->op);
    };
    io_->Recv(ours, &slow.back()->op);
  }
  const auto done = [&] {
    return static_cast<size_t>(
        std::count_if(slow.begin(), slow.end(), [](const auto& probe) { return probe->done(); }));
  };
  RunUntil([&] { return done() > 0; });
  EXPECT_GE(done(), kTooMany);
  RunUntil([&] { return done() == slow.size(); });
  EXPECT_EQ(BuffersLent(), 0u);
}

TEST_P(IoTest, ABackgroundOperationThatWaitsIsDeliveredWhateverHappens) {
  for (const bool cancel : {true, false}) {
    SlowProbe first;
    SlowProbe second;
    const auto [one, one_peer] = TcpPair();
    const auto [two, two_peer] = TcpPair();
    Write(one_peer, "first");
    Write(two_peer, "second");
    io_->Recv(one, &first.op);
    io_->Recv(two, &second.op);
    RunUntil([&] { return first.done() || second.done(); });
    EXPECT_NE(first.done(), second.done());
    Probe& waiting = first.done() ? second : first;
    const int fd = first.done() ? two : one;
    cancel ? io_->Cancel(&waiting.op) : io_->Shutdown(fd, SHUT_RDWR);
    EXPECT_TRUE(waiting.op.in_flight());
    RunUntil([&] { return waiting.done(); });
    EXPECT_EQ(io_->ReceivedBytes(waiting.op), fd == one ? "first" : "second");
    EXPECT_EQ(waiting.results.size(), 1u);
    io_->ReturnBuffer(&first.op);
    io_->ReturnBuffer(&second.op);
    Settle();
    EXPECT_EQ(io_->ops_in_flight(), 0u);
  }
}

TEST_P(IoTest, TheLastBytesLeaveWithTheEnd) {
  const auto [ours, theirs] = TcpPair();
  Probe send;
  io_->SendLast(ours, "+OK bye\r\n", &send.op);
  RunUntil([&] { return send.done(); });
  EXPECT_EQ(send.result(), 9);
  io_->Shutdown(ours, SHUT_WR);
  std::array<char, 16> buffer{};
  // The end is there as soon as the bytes are: nothing has to come after them.
  EXPECT_EQ(recv(theirs, buffer.data(), buffer.size(), 0), 9);
  EXPECT_EQ(recv(theirs, buffer.data(), buffer.size(), MSG_DONTWAIT), 0);
}

TEST_P(IoTest, AReceiveIntoMemoryIsCancelledOrShutDown) {
  const auto [ours, theirs] = TcpPair();
  std::array<char, 100> memory{};
  for (const bool cancel : {true, false}) {
    Probe recv;
    io_->RecvInto(ours, memory.data(), memory.size(), &recv.op);
    Settle();
    cancel ? io_->Cancel(&recv.op) : io_->Shutdown(ours, SHUT_RDWR);
    RunUntil([&] { return recv.done(); });
    EXPECT_EQ(recv.result(), cancel ? -ECANCELED : 0);
    io_->ReturnBuffer(&recv.op);
  }
}

// As the relay does it: from a socket to another one that is often full.
TEST_P(IoTest, MovesBytesThroughAPipe) {
  const auto [from, source] = TcpPair();
  const auto [to, sink] = TcpPair();
  const int small = 8192;
  EXPECT_EQ(setsockopt(to, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  std::string text;
  for (int i = 0; i < 200000; ++i) text += static_cast<char>('a' + i % 26 + i / 26 % 3);
  std::thread writer([fd = source, &text] {
    for (size_t at = 0; at < text.size();) {
      const ssize_t count = write(fd, text.data() + at, text.size() - at);
      if (count <= 0) return;
      at += static_cast<size_t>(count);
    }
  });
  std::string seen;
  std::thread reader([fd = sink, &seen, wanted = text.size()] {
    std::array<char, 3000> piece{};
    while (seen.size() < wanted) {
      const ssize_t count = read(fd, piece.data(), piece.size());
      if (count <= 0) return;
      seen.append(piece.data(), static_cast<size_t>(count));
    }
  });
  KernelPipe pipe;
  ASSERT_TRUE(io_->OpenPipe(&pipe));
  int waits = 0;
  for (size_t moved = 0; moved < text.size();) {
    if (pipe.bytes == 0) {
      const size_t readable = io_->ReadableBytes(from);
      if (readable == 0) {
        std::this_thread::yield();
        continue;
      }
      const ssize_t count = io_->MoveIn(from, &pipe, readable);
      ASSERT_GT(count, 0);
      ASSERT_EQ(pipe.bytes, static_cast<size_t>(count));
    }
    const ssize_t count = io_->MoveOut(&pipe, to);
    if (count == -EAGAIN) {
      ++waits;
      Probe poll;
      io_->PollSend(to, &poll.op);
      EXPECT_TRUE(poll.results.empty()) << "a completion may not run inside the call";
      RunUntil([&] { return poll.done(); });
      ASSERT_GT(poll.result(), 0);
      continue;
    }
    ASSERT_GT(count, 0);
    moved += static_cast<size_t>(count);
  }
  writer.join();
  reader.join();
  EXPECT_EQ(seen, text);
  EXPECT_GT(waits, 0);
  EXPECT_EQ(io_->MoveIn(from, &pipe, 100), -EAGAIN);
  shutdown(source, SHUT_WR);
  RunUntil([&, from_fd = from] { return io_->MoveIn(from_fd, &pipe, 100) == 0; });
  io_->ClosePipe(&pipe);
  EXPECT_FALSE(pipe.open());
  io_->ClosePipe(&pipe);
}

TEST_P(IoTest, EndOfStreamIsZeroAndPinsNoBuffer) {
  const auto [ours, theirs] = TcpPair();
  shutdown(theirs, SHUT_WR);
  Probe recv;
  io_->Recv(ours, &recv.op);
  RunUntil([&] { return recv.done(); });
  EXPECT_EQ(recv.result(), 0);
  EXPECT_EQ(io_->ReceivedBytes(recv.op), "");
  io_->ReturnBuffer(&recv.op);
  EXPECT_EQ(BuffersLent(), 0u);
}

TEST_P(IoTest, AcceptIsAStream) {
  SocketAddress address;
  const int listener = Listen(&address);
  Probe accept;
  io_->Accept(listener, &accept.op);
  constexpr size_t kClients = 50;
  for (size_t i = 0; i < kClients; ++i) {
    const int fd = Own(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(connect(fd, address.data(), address.length()), 0);
  }
  RunUntil([&] { return accept.results.size() == kClients; });
  for (const int fd : accept.results) {
    Own(fd);
    EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(io_->PeerAddress(fd).IpText(), "127.0.0.1");
    EXPECT_EQ(io_->LocalAddress(fd), address);
  }
  EXPECT_TRUE(accept.op.in_flight());
  io_->Cancel(&accept.op);
  io_->Cancel(&accept.op);
  EXPECT_TRUE(accept.op.in_flight());
  RunUntil([&] { return !accept.op.in_flight(); });
  EXPECT_EQ(accept.result(), -ECANCELED);
}

TEST_P(IoTest, AcceptCancelledInItsOwnCallbackEndsOnce) {
  SocketAddress address;
  const int listener = Listen(&address);
  Probe accept;
  accept.then = [&] {
    if (accept.result() >= 0) {
      Own(accept.result());
      io_->Cancel(&accept.op);
    }
  };
  io_->Accept(listener, &accept.op);
  const int fd = Own(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(connect(fd, address.data(), address.length()), 0);
  RunUntil([&] { return !accept.op.in_flight(); });
  ASSERT_EQ(accept.results.size(), 2u);
  EXPECT_EQ(accept.results[1], -ECANCELED);
}

TEST_P(IoTest, OutOfDescriptorsEndsTheAcceptAndLosesNobody) {
  SocketAddress address;
  const int listener = Listen(&address);
  for (int i = 0; i < 3; ++i) {
    const int fd = Own(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(connect(fd, address.data(), address.length()), 0);
  }
  // No descriptor above the ones in use.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int highest = dup(0);
  ASSERT_GE(highest, 0);
  close(highest);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(highest);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  Probe accept;
  io_->Accept(listener, &accept.op);
  RunUntil([&] { return !accept.op.in_flight(); });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(accept.result(), -EMFILE);
  EXPECT_EQ(accept.results.size(), 1u);

  io_->Accept(listener, &accept.op);
  RunUntil([&] { return accept.results.size() == 4; });
  for (size_t i = 1; i < 4; ++i) Own(accept.results[i]);
  io_->Cancel(&accept.op);
  RunUntil([&] { return !accept.op.in_flight(); });
}

TEST_P(IoTest, ConnectsAndIsRefused) {
  SocketAddress address;
  const int listener = Listen(&address);
  const int fd = Own(io_->OpenSocket(AF_INET));
  int no_delay = 0;
  socklen_t length = sizeof(no_delay);
  getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
  EXPECT_EQ(no_delay, 1);
  Probe connected;
  io_->Connect(fd, address, &connected.op);
  RunUntil([&] { return connected.done(); });
  EXPECT_EQ(connected.result(), 0);

  // A port nobody listens on: bound, never listened.
  const int bound = Own(socket(AF_INET, SOCK_STREAM, 0));
  SocketAddress nobody = *SocketAddress::Parse("127.0.0.1:0");
  ASSERT_EQ(bind(bound, nobody.data(), nobody.length()), 0);
  nobody = io_->LocalAddress(bound);
  Probe refused;
  io_->Connect(Own(io_->OpenSocket(AF_INET)), nobody, &refused.op);
  RunUntil([&] { return refused.done(); });
  EXPECT_EQ(refused.result(), -ECONNREFUSED);
  close(listener);
  fds_.erase(fds_.begin());
}

TEST_P(IoTest, ConnectsToUnixSockets) {
  std::string directory = testing::TempDir() + "postern_io_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/pop3.sock";
  const SocketAddress address = *SocketAddress::Parse("unix:" + path);
  const int listener = Own(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(bind(listener, address.data(), address.length()), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  Probe connected;
  io_->Connect(Own(io_->OpenSocket(AF_UNIX)), address, &connected.op);
  RunUntil([&] { return connected.done(); });
  EXPECT_EQ(connected.result(), 0);

  unlink(path.c_str());
  Probe missing;
  io_->Connect(Own(io_->OpenSocket(AF_UNIX)), address, &missing.op);
  RunUntil([&] { return missing.done(); });
  EXPECT_EQ(missing.result(), -ENOENT);
  rmdir(directory.c_str());
}

TEST_P(IoTest, ShutdownEndsAPendingReceiveAndThePeerSeesTheEnd) {
  const auto [ours, theirs] = TcpPair();
  Probe recv;
  io_->Recv(ours, &recv.op);
  Settle();
  io_->Shutdown(ours, SHUT_RDWR);
  EXPECT_FALSE(recv.done());
  RunUntil([&] { return recv.done(); });
  EXPECT_EQ(recv.result(), 0);
  char byte = 0;
  EXPECT_EQ(read(theirs, &byte, 1), 0);
}

TEST_P(IoTest, ShutdownEndsASendBlockedOnAFullSocket) {
  const auto [ours, theirs] = TcpPair();
  const std::string bytes(16 << 20, 'x');
  size_t taken = 0;
  Probe send;
  // Until the socket is full and a send stays pending.
  io_->Send(ours, bytes, &send.op);
  for (int turn = 0; turn < 1000; ++turn) {
    Settle();
    if (send.op.in_flight()) break;
    ASSERT_GT(send.result(), 0);
    taken += static_cast<size_t>(send.result());
    io_->Send(ours, bytes, &send.op);
  }
  ASSERT_TRUE(send.op.in_flight());
  io_->Shutdown(ours, SHUT_RDWR);
  RunUntil([&] { return send.done(); });
  // A short count or EPIPE, by kernel; the next one must fail.
  EXPECT_LT(send.result(), static_cast<int>(bytes.size()));
  Probe next;
  io_->Send(ours, bytes, &next.op);
  RunUntil([&] { return next.done(); });
  EXPECT_EQ(next.result(), -EPIPE);
  EXPECT_GT(taken, 0u);
}

TEST_P(IoTest, CancelEndsAPendingConnect) {
  // A listener whose backlog is full: further connects stay unanswered.
  SocketAddress address;
  Listen(&address, 0);
  std::vector<std::unique_ptr<Probe>> connects;
  for (int i = 0; i < 8; ++i) {
    connects.push_back(std::make_unique<Probe>());
    io_->Connect(Own(io_->OpenSocket(AF_INET)), address, &connects.back()->op);
  }
  Settle();
  Probe& last = *connects.back();
  ASSERT_TRUE(last.op.in_flight());
  for (auto& pending : connects) io_->Cancel(&pending->op);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  EXPECT_EQ(last.result(), -ECANCELED);
}

TEST_P(IoTest, ShutdownAndCancelTogetherEndAPendingConnect) {
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
  for (size_t i = 0; i < connects.size(); ++i) {
    io_->Shutdown(sockets[i], SHUT_RDWR);
    io_->Cancel(&connects[i]->op);
  }
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  EXPECT_LT(connects.back()->result(), 0);
}

TEST_P(IoTest, CancelEndsAReceiveAndTheOperationMayBeUsedAgain) {
  const auto [ours, theirs] = Pair();
  Probe recv;
  io_->Recv(ours, &recv.op);
  io_->Cancel(&recv.op);
  RunUntil([&] { return recv.done(); });
  EXPECT_EQ(recv.result(), -ECANCELED);
  io_->Recv(ours, &recv.op);
  Write(theirs, "x");
  RunUntil([&] { return recv.results.size() == 2; });
  EXPECT_EQ(recv.result(), 1);
  io_->ReturnBuffer(&recv.op);
}

TEST_P(IoTest, AbortiveCloseSendsAReset) {
  const auto [ours, theirs] = TcpPair();
  io_->SetAbortiveClose(ours);
  std::erase(fds_, ours);
  io_->Close(ours);
  char byte = 0;
  EXPECT_EQ(read(theirs, &byte, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_P(IoTest, ShortSendsAreWhole) {
  const auto [ours, theirs] = TcpPair();
  const int small = 4096;
  setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  fcntl(theirs, F_SETFL, O_NONBLOCK);
  std::string bytes(1 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 4099);
  std::string received;
  size_t sent = 0;
  Probe send;
  bool short_count = false;
  io_->Send(ours, bytes, &send.op);
  send.then = [&] {
    ASSERT_GT(send.result(), 0);
    sent += static_cast<size_t>(send.result());
    short_count |= sent < bytes.size();
    if (sent < bytes.size()) io_->Send(ours, absl::string_view(bytes).substr(sent), &send.op);
  };
  std::array<char, 8192> buffer{};
  RunUntil(
      [&] {
        const ssize_t count = read(theirs, buffer.data(), buffer.size());
        if (count > 0) received.append(buffer.data(), static_cast<size_t>(count));
        return received.size() == bytes.size() && send.done();
      },
      1000000, 0);
  EXPECT_TRUE(short_count);
  EXPECT_TRUE(received == bytes);
}

TEST_P(IoTest, AnOperationMayDieInItsOwnCallback) {
  struct Session {
    Session() : op(&Session::Done, this) {}
    static void Done(IoOp&, void* owner) { delete static_cast<Session*>(owner); }
    IoOp op;
  };
  const auto [ours, theirs] = Pair();
  auto* session = new Session();
  io_->Recv(ours, &session->op);
  shutdown(theirs, SHUT_RDWR);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
}

TEST_P(IoTest, WakeFromAnotherThreadEndsTheWait) {
  // Without the wake-up each turn would last an hour, and the test would run into its time limit.
  for (int round = 0; round < 3; ++round) {
    std::thread waker([this] { io_->Wake(); });
    io_->RunOnce(3600 * kSecond);
    waker.join();
  }
  // Before the wait counts too.
  io_->Wake();
  io_->RunOnce(3600 * kSecond);
}

TEST_P(IoTest, ATimerEndsTheWait) {
  int fired = 0;
  Timer timer([](Timer&, void* count) { ++*static_cast<int*>(count); }, &fired);
  const TimeNs start = MonotonicNow();
  io_->timers().Arm(&timer, start + 30 * kMillisecond);
  RunUntil([&] { return fired == 1; });
  EXPECT_GE(MonotonicNow() - start, 30 * kMillisecond);
  EXPECT_GE(io_->Now(), start + 30 * kMillisecond);
}

INSTANTIATE_TEST_SUITE_P(, IoTest, BothKinds(), KindOfTest);

}  // namespace
}  // namespace postern::io
