#include "tests/sim/sim_io.h"

#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::sim {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const SocketAddress& ListenAddress() {
  static const SocketAddress address = SocketAddress::Parse("198.51.100.1:110").value();
  return address;
}
const SocketAddress& ClientAddress() {
  static const SocketAddress address = SocketAddress::Parse("203.0.113.9:40000").value();
  return address;
}
const SocketAddress& BackendAddress() {
  static const SocketAddress address = SocketAddress::Parse("10.0.0.1:110").value();
  return address;
}

// Remembers what an operation completed with.
struct Waiter {
  io::IoOp op{&Done, this};
  std::vector<int> results;

  static void Done(io::IoOp& completed, void* owner) {
    static_cast<Waiter*>(owner)->results.push_back(completed.result());
  }
  bool done() const { return !results.empty() && !op.in_flight(); }
};

void RunUntil(SimIo* io, const std::function<bool()>& condition) {
  for (int turn = 0; turn < 100000 && !condition(); ++turn) io->RunOnce(kSecond);
  ASSERT_TRUE(condition());
}

// A peer that collects what it reads and how the connection ended.
struct Collector {
  explicit Collector(Endpoint* peer) : endpoint(peer) {
    endpoint->SetChanged([this] { Drain(); });
  }
  void Drain() {
    char buffer[64];
    while (end == -EAGAIN) {
      const int result = endpoint->Read(buffer, sizeof(buffer));
      if (result > 0) {
        text.append(buffer, static_cast<size_t>(result));
      } else if (result == -EAGAIN) {
        return;
      } else {
        end = result;
      }
    }
  }
  Endpoint* endpoint;
  std::string text;
  int end = -EAGAIN;
};

// A connected pair: `fd` for the code under test, `peer` for the test.
struct Pair {
  explicit Pair(SimIo* io) {
    listen_fd = io->Listen(ListenAddress());
    peer = io->ConnectTo(ListenAddress(), ClientAddress());
    io->Accept(listen_fd, &accept.op);
    RunUntil(io, [this] { return !accept.results.empty(); });
    fd = accept.results[0];
  }
  int listen_fd = -1;
  int fd = -1;
  Endpoint* peer = nullptr;
  Waiter accept;
};

void StopAccepting(SimIo* io, Pair* pair) {
  io->Cancel(&pair->accept.op);
  RunUntil(io, [pair] { return !pair->accept.op.in_flight(); });
  io->Close(pair->listen_fd);
}

TEST(SimIo, AcceptsWithAddresses) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  EXPECT_GE(pair.fd, 0);
  EXPECT_TRUE(pair.accept.op.in_flight()) << "one accept serves every connection";
  EXPECT_EQ(io.PeerAddress(pair.fd), ClientAddress());
  EXPECT_EQ(io.LocalAddress(pair.fd), ListenAddress());
  StopAccepting(&io, &pair);
  EXPECT_EQ(pair.accept.results.back(), -ECANCELED);
  io.Close(pair.fd);
  EXPECT_EQ(io.open_descriptors(), 0u);
  EXPECT_EQ(io.ops_in_flight(), 0u);
  EXPECT_THAT(io.violations(), IsEmpty());
}

TEST(SimIo, NothingCompletesInsideTheCallThatStartsIt) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Waiter send;
  io.Send(pair.fd, "x", &send.op);
  EXPECT_TRUE(send.results.empty());
  RunUntil(&io, [&] { return send.done(); });
  EXPECT_THAT(send.results, ElementsAre(1));
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

// Bytes through a descriptor under test and back, in every kind of world.
uint64_t Echo(uint64_t seed, const std::string& text, std::string* heard, int* end) {
  Random random(seed);
  SimIo io(seed, FaultPlan::Unruly(random));
  Pair pair(&io);
  Collector collector(pair.peer);
  size_t written = 0;
  auto write_more = [&] {
    while (written < text.size()) {
      const int taken = pair.peer->Write(absl::string_view(text).substr(written));
      if (taken <= 0) return;
      written += static_cast<size_t>(taken);
    }
    pair.peer->ShutdownWrite();
  };
  pair.peer->SetChanged([&] {
    collector.Drain();
    if (!pair.peer->closed() && written < text.size()) write_more();
  });
  while (true) {
    Waiter recv;
    io.Recv(pair.fd, &recv.op);
    RunUntil(&io, [&] { return recv.done(); });
    if (recv.results[0] <= 0) break;
    const std::string chunk(io.ReceivedBytes(recv.op));
    io.ReturnBuffer(&recv.op);
    for (size_t sent = 0; sent < chunk.size();) {
      Waiter send;
      io.Send(pair.fd, absl::string_view(chunk).substr(sent), &send.op);
      RunUntil(&io, [&] { return send.done(); });
      if (send.results[0] <= 0) ADD_FAILURE() << "send: " << send.results[0];
      if (send.results[0] <= 0) break;
      sent += static_cast<size_t>(send.results[0]);
    }
  }
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
  RunUntil(&io, [&] { return io.quiet(); });
  *heard = collector.text;
  *end = collector.end;
  EXPECT_THAT(io.violations(), IsEmpty());
  EXPECT_EQ(io.buffers_lent(), 0u);
  return io.trace_hash();
}

TEST(SimIo, EchoesEveryByteOnceAndInOrder) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += std::to_string(i) + "\r\n";
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::string heard;
    int end = 1;
    Echo(seed, text, &heard, &end);
    ASSERT_EQ(heard, text) << "seed " << seed;
    ASSERT_EQ(end, 0) << "seed " << seed;
  }
}

TEST(SimIo, SameSeedSameHistory) {
  const std::string text(5000, 'x');
  std::string heard;
  int end = 1;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const uint64_t first = Echo(seed, text, &heard, &end);
    EXPECT_EQ(Echo(seed, text, &heard, &end), first) << "seed " << seed;
    EXPECT_NE(Echo(seed + 1000, text, &heard, &end), first) << "seed " << seed;
  }
}

// --- what measured Linux does when an operation is ended early
// ------------------------------------

TEST(SimIo, ShutdownEndsAPendingReceiveWithZero) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Waiter recv;
  io.Recv(pair.fd, &recv.op);
  io.RunOnce(kSecond);
  io.Shutdown(pair.fd, SHUT_RDWR);
  RunUntil(&io, [&] { return recv.done(); });
  EXPECT_THAT(recv.results, ElementsAre(0));
  Collector collector(pair.peer);
  RunUntil(&io, [&] { return collector.end != -EAGAIN; });
  EXPECT_EQ(collector.end, 0) << "the peer sees an orderly end";
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

TEST(SimIo, CancelEndsAPendingReceive) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Waiter recv;
  io.Recv(pair.fd, &recv.op);
  io.Cancel(&recv.op);
  RunUntil(&io, [&] { return recv.done(); });
  EXPECT_THAT(recv.results, ElementsAre(-ECANCELED));
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

TEST(SimIo, ShutdownEndsABlockedSend) {
  FaultPlan plan = FaultPlan::Kind();
  plan.window_min = plan.window_max = 10;
  SimIo io(1, plan);
  Pair pair(&io);
  Waiter first;
  io.Send(pair.fd, "0123456789", &first.op);
  RunUntil(&io, [&] { return first.done(); });
  Waiter blocked;
  io.Send(pair.fd, "more", &blocked.op);
  for (int i = 0; i < 10; ++i) io.RunOnce(kSecond);
  EXPECT_FALSE(blocked.done());
  io.Shutdown(pair.fd, SHUT_RDWR);
  RunUntil(&io, [&] { return blocked.done(); });
  EXPECT_EQ(blocked.results[0], -EPIPE);
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

struct ConnectCase {
  ConnectAnswer::Kind kind;
  int result;
};
class SimIoConnect : public ::testing::TestWithParam<ConnectCase> {};

TEST_P(SimIoConnect, AnswersAsToldOrEndsByShutdown) {
  SimIo io(1, FaultPlan::Kind());
  Endpoint* accepted = nullptr;
  io.AddBackend(
      BackendAddress(),
      [] {
        return ConnectAnswer{GetParam().kind, 5 * kMillisecond};
      },
      [&](Endpoint* endpoint) { accepted = endpoint; });
  const int fd = io.OpenSocket(AF_INET);
  Waiter connect;
  const TimeNs start = io.Now();
  io.Connect(fd, BackendAddress(), &connect.op);
  RunUntil(&io, [&] { return connect.done(); });
  EXPECT_THAT(connect.results, ElementsAre(GetParam().result));
  EXPECT_GE(io.Now() - start, 5 * kMillisecond);
  RunUntil(&io, [&] { return io.quiet(); });
  EXPECT_EQ(accepted != nullptr, GetParam().result == 0);
  io.Close(fd);

  const int second = io.OpenSocket(AF_INET);
  Waiter ended;
  io.Connect(second, BackendAddress(), &ended.op);
  io.Shutdown(second, SHUT_RDWR);
  RunUntil(&io, [&] { return ended.done(); });
  EXPECT_THAT(ended.results[0], AnyOf(-ECONNRESET, -ECANCELED));
  io.Close(second);
  EXPECT_EQ(io.open_descriptors(), 0u);
  EXPECT_THAT(io.violations(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Kinds, SimIoConnect,
                         ::testing::Values(ConnectCase{ConnectAnswer::Kind::kAccept, 0},
                                           ConnectCase{ConnectAnswer::Kind::kRefuse, -ECONNREFUSED},
                                           ConnectCase{ConnectAnswer::Kind::kBlackhole, -ETIMEDOUT},
                                           ConnectCase{ConnectAnswer::Kind::kUnreachable,
                                                       -EHOSTUNREACH},
                                           ConnectCase{ConnectAnswer::Kind::kReset, -ECONNRESET}));

TEST(SimIo, UnknownBackendsRefuseOrDoNotExist) {
  SimIo io(1, FaultPlan::Kind());
  const SocketAddress path = SocketAddress::Parse("unix:/run/no").value();
  for (const auto& [address, error] :
       {std::pair(BackendAddress(), -ECONNREFUSED), std::pair(path, -ENOENT)}) {
    const int fd = io.OpenSocket(address.family());
    Waiter connect;
    io.Connect(fd, address, &connect.op);
    RunUntil(&io, [&] { return connect.done(); });
    EXPECT_EQ(connect.results[0], error);
    io.Close(fd);
  }
}

// --- resets --------------------------------------------------------------------------------------

TEST(SimIo, AbortiveCloseIsAReset) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Collector collector(pair.peer);
  io.SetAbortiveClose(pair.fd);
  io.Close(pair.fd);
  RunUntil(&io, [&] { return collector.end != -EAGAIN; });
  EXPECT_EQ(collector.end, -ECONNRESET);
  StopAccepting(&io, &pair);
}

TEST(SimIo, CloseWithUnreadBytesIsAReset) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Collector collector(pair.peer);
  pair.peer->Write("never read");
  for (int i = 0; i < 10; ++i) io.RunOnce(kSecond);
  io.Close(pair.fd);
  RunUntil(&io, [&] { return collector.end != -EAGAIN; });
  EXPECT_EQ(collector.end, -ECONNRESET);
  StopAccepting(&io, &pair);
}

TEST(SimIo, PlainCloseIsAnOrderlyEndAndLaterBytesAreAnsweredWithAReset) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Collector collector(pair.peer);
  io.Close(pair.fd);
  RunUntil(&io, [&] { return collector.end != -EAGAIN; });
  EXPECT_EQ(collector.end, 0);
  EXPECT_EQ(pair.peer->Write("too late"), 8);
  RunUntil(&io, [&] { return pair.peer->reset_seen(); });
  EXPECT_EQ(pair.peer->Write("again"), -EPIPE);
  StopAccepting(&io, &pair);
}

TEST(SimIo, AResetIsOneErrorAndThenAnEnd) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  pair.peer->Reset();
  std::vector<int> results;
  for (int i = 0; i < 2; ++i) {
    Waiter recv;
    io.Recv(pair.fd, &recv.op);
    RunUntil(&io, [&] { return recv.done(); });
    results.push_back(recv.results[0]);
  }
  EXPECT_THAT(results, ElementsAre(-ECONNRESET, 0));
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

TEST(SimIo, HalfCloseLeavesTheOtherDirectionOpen) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  Collector collector(pair.peer);
  pair.peer->Write("QUIT\r\n");
  pair.peer->ShutdownWrite();
  Waiter recv;
  io.Recv(pair.fd, &recv.op);
  RunUntil(&io, [&] { return recv.done(); });
  EXPECT_EQ(io.ReceivedBytes(recv.op), "QUIT\r\n");
  io.ReturnBuffer(&recv.op);
  Waiter send;
  io.Send(pair.fd, "+OK\r\n", &send.op);
  RunUntil(&io, [&] { return collector.text == "+OK\r\n"; });
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

// --- buffers and misuse --------------------------------------------------------------------------

TEST(SimIo, ReceivesWaitWhenAllBuffersAreLent) {
  FaultPlan plan = FaultPlan::Kind();
  plan.buffers = 1;
  SimIo io(1, plan);
  Pair pair(&io);
  const int second_fd = [&] {
    io.ConnectTo(ListenAddress(), ClientAddress())->Write("second");
    RunUntil(&io, [&] { return pair.accept.results.size() == 2; });
    return pair.accept.results[1];
  }();
  pair.peer->Write("first");
  Waiter first;
  Waiter second;
  io.Recv(pair.fd, &first.op);
  RunUntil(&io, [&] { return first.done(); });
  io.Recv(second_fd, &second.op);
  for (int i = 0; i < 10; ++i) io.RunOnce(kSecond);
  EXPECT_FALSE(second.done());
  EXPECT_GE(io.counts().buffers_exhausted, 1u);
  const absl::string_view stale = io.ReceivedBytes(first.op);
  EXPECT_EQ(stale, "first");
  io.ReturnBuffer(&first.op);
  io.ReturnBuffer(&first.op);  // holds none: nothing happens
  RunUntil(&io, [&] { return second.done(); });
  EXPECT_EQ(io.ReceivedBytes(second.op), "second");
  io.ReturnBuffer(&second.op);
  EXPECT_EQ(io.buffers_lent(), 0u);
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
  io.Close(second_fd);
  EXPECT_THAT(io.violations(), IsEmpty());
}

TEST(SimIo, FindsMisuse) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  StopAccepting(&io, &pair);
  Waiter recv;
  io.Recv(pair.fd, &recv.op);
  io.Close(pair.fd);
  io.Close(pair.fd);
  Waiter late;
  std::string bytes = "changes";
  io.Send(pair.fd, bytes, &late.op);
  RunUntil(&io, [&] { return late.done(); });
  EXPECT_THAT(io.violations(), ElementsAre(HasSubstr("with an operation in flight"),
                                           HasSubstr("not open"), HasSubstr("not open")));
  EXPECT_TRUE(recv.op.in_flight()) << "close(2) alone never completes a receive";
  // Not a descriptor's owner any more, so the operation is taken out by hand for the destructor.
  io.Abandon(&recv.op);
}

TEST(SimIo, NoticesBytesThatChangeUnderASend) {
  SimIo io(1, FaultPlan::Kind());
  Pair pair(&io);
  std::string bytes = "before";
  Waiter send;
  io.Send(pair.fd, bytes, &send.op);
  bytes[0] = 'B';
  RunUntil(&io, [&] { return send.done(); });
  EXPECT_THAT(io.violations(), ElementsAre(HasSubstr("changed before it completed")));
  StopAccepting(&io, &pair);
  io.Close(pair.fd);
}

// --- injected errors -----------------------------------------------------------------------------

TEST(SimIo, FailsExactlyTheChosenOperation) {
  // 1: the accepted connection, 2: the receive, 3: the send.
  for (uint64_t n = 1; n <= 4; ++n) {
    FaultPlan plan = FaultPlan::Kind();
    plan.fail_operation = n;
    SimIo io(1, plan);
    const int listen_fd = io.Listen(ListenAddress());
    Endpoint* peer = io.ConnectTo(ListenAddress(), ClientAddress());
    peer->Write("x");
    std::vector<int> failed;
    Waiter first_accept;
    Waiter accept;
    io.Accept(listen_fd, &first_accept.op);
    RunUntil(&io, [&] { return !first_accept.results.empty(); });
    int fd = first_accept.results[0];
    if (fd < 0) {
      failed.push_back(1);
      EXPECT_FALSE(first_accept.op.in_flight());
      io.Accept(listen_fd, &accept.op);
      RunUntil(&io, [&] { return !accept.results.empty(); });
      fd = accept.results[0];
    }
    ASSERT_GE(fd, 0);
    Waiter recv;
    io.Recv(fd, &recv.op);
    RunUntil(&io, [&] { return recv.done(); });
    if (recv.results[0] < 0) failed.push_back(2);
    io.ReturnBuffer(&recv.op);
    Waiter send;
    io.Send(fd, "y", &send.op);
    RunUntil(&io, [&] { return send.done(); });
    if (send.results[0] < 0 && failed.empty()) failed.push_back(3);
    io.Cancel(&first_accept.op);
    io.Cancel(&accept.op);
    RunUntil(&io, [&] { return !first_accept.op.in_flight() && !accept.op.in_flight(); });
    io.Close(listen_fd);
    io.Close(fd);
    EXPECT_EQ(io.errors_injected(), n <= 3 ? 1u : 0u);
    EXPECT_EQ(io.operations() < n, n == 4) << "a sweep ends when nothing was left to fail";
    EXPECT_EQ(failed, n <= 3 ? std::vector<int>{static_cast<int>(n)} : std::vector<int>{});
  }
}

TEST(SimIo, WakeEndsAWaitAtOnce) {
  SimIo io(1, FaultPlan::Kind());
  const TimeNs start = io.Now();
  io.Wake();
  io.RunOnce(kSecond);
  EXPECT_LT(io.Now() - start, kMillisecond);
  io.RunOnce(kSecond);
  EXPECT_GE(io.Now() - start, kSecond);
}

TEST(SimIo, TimersFireInVirtualTime) {
  SimIo io(1, FaultPlan::Kind());
  bool fired = false;
  io::Timer timer([](io::Timer&, void* owner) { *static_cast<bool*>(owner) = true; }, &fired);
  const TimeNs deadline = io.Now() + 11 * 60 * kSecond;
  io.timers().Arm(&timer, deadline);
  RunUntil(&io, [&] { return fired; });
  EXPECT_GE(io.Now(), deadline);
  EXPECT_LE(io.Now(), deadline + 2 * io::TimerWheel::kTick);
  EXPECT_TRUE(io.quiet());
}

}  // namespace
}  // namespace postern::sim
