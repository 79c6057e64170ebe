// Receives while all shared buffers are lent out.
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/io/io_fixture.h"

namespace postern::io {
namespace {

class StarvedTest : public IoTest {
 protected:
  struct Connection {
    int ours;
    int theirs;
    Probe recv;
  };
  void SetUp() override {
    UringOptions options;
    options.receive_buffers = 4;
    options.receive_buffers_max = 4;
    options.receive_buffer_bytes = 64;
    Make(options);
  }
  // `count` connections with a receive each and a byte waiting; four get a buffer.
  void Starve(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      auto connection = std::make_unique<Connection>();
      std::tie(connection->ours, connection->theirs) = Pair();
      Write(connection->theirs, "x");
      io_->Recv(connection->ours, &connection->recv.op);
      connections_.push_back(std::move(connection));
    }
    RunUntil([&] { return io_->ops_in_flight() == count - 4; });
    Settle();
    ASSERT_EQ(io_->ops_in_flight(), count - 4);
    ASSERT_EQ(BuffersLent(), 4u);
  }
  // Gives every lent buffer back.
  void ReturnAll() {
    for (auto& connection : connections_) io_->ReturnBuffer(&connection->recv.op);
  }
  std::vector<std::unique_ptr<Connection>> connections_;
};

TEST_P(StarvedTest, EveryoneIsServedInOrder) {
  Starve(50);
  std::vector<int> order;
  for (size_t i = 4; i < 50; ++i) {
    connections_[i]->recv.then = [&order, i] { order.push_back(static_cast<int>(i)); };
  }
  const uint64_t turns = io_->counts().turns;
  RunUntil([&] {
    ReturnAll();
    return io_->ops_in_flight() == 0;
  });
  ReturnAll();
  EXPECT_LT(io_->counts().turns - turns, 200u);
  ASSERT_EQ(order.size(), 46u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  for (auto& connection : connections_) EXPECT_EQ(connection->recv.result(), 1);
  EXPECT_GT(io_->counts().buffers_exhausted, 0u);
}

TEST_P(StarvedTest, WaitingForABufferDoesNotSpin) {
  Starve(10);
  const uint64_t turns = io_->counts().turns;
  io_->RunOnce(20 * kMillisecond);
  io_->RunOnce(20 * kMillisecond);
  EXPECT_EQ(io_->counts().turns - turns, 2u);
  EXPECT_EQ(io_->ops_in_flight(), 6u);
  RunUntil([&] {
    ReturnAll();
    return io_->ops_in_flight() == 0;
  });
  ReturnAll();
}

TEST_P(StarvedTest, IdleConnectionsThatStarvedAreHeardLater) {
  Starve(4);
  // No bytes yet: they starve for want of a buffer alone.
  std::vector<std::unique_ptr<Connection>> idle;
  for (int i = 0; i < 30; ++i) {
    idle.push_back(std::make_unique<Connection>());
    std::tie(idle.back()->ours, idle.back()->theirs) = Pair();
    io_->Recv(idle.back()->ours, &idle.back()->recv.op);
  }
  Settle();
  ReturnAll();
  Settle();
  Write(idle.back()->theirs, "late");
  RunUntil([&] { return idle.back()->recv.done(); });
  EXPECT_EQ(io_->ReceivedBytes(idle.back()->recv.op), "late");
  io_->ReturnBuffer(&idle.back()->recv.op);
  for (auto& connection : idle) io_->Cancel(&connection->recv.op);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
}

TEST_P(StarvedTest, CancelEndsItFromTheLoop) {
  Starve(6);
  Probe& starved = connections_[5]->recv;
  io_->Cancel(&starved.op);
  EXPECT_TRUE(starved.op.in_flight());
  RunUntil([&] { return starved.done(); });
  EXPECT_EQ(starved.result(), -ECANCELED);
  io_->Cancel(&connections_[4]->recv.op);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  ReturnAll();
}

TEST_P(StarvedTest, ShutdownEndsItThoughNoBufferComesBack) {
  Starve(6);
  io_->Shutdown(connections_[5]->ours, SHUT_RDWR);
  EXPECT_TRUE(connections_[5]->recv.op.in_flight());
  RunUntil([&] { return connections_[5]->recv.done(); });
  EXPECT_EQ(connections_[5]->recv.result(), 0);
  // A receive that is started on a socket already shut down, behind others that starve.
  io_->Recv(connections_[5]->ours, &connections_[5]->recv.op);
  RunUntil([&] { return connections_[5]->recv.done(); });
  EXPECT_EQ(connections_[5]->recv.result(), 0);
  io_->Shutdown(connections_[4]->ours, SHUT_RDWR);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  ReturnAll();
}

TEST_P(StarvedTest, ShutdownOfAnArmedReceiveEndsItThoughThereIsNoBuffer) {
  // Armed while there were buffers, shut down when there are none.
  auto armed = std::make_unique<Connection>();
  std::tie(armed->ours, armed->theirs) = Pair();
  io_->Recv(armed->ours, &armed->recv.op);
  Settle();
  for (int i = 0; i < 4; ++i) {
    auto connection = std::make_unique<Connection>();
    std::tie(connection->ours, connection->theirs) = Pair();
    Write(connection->theirs, "x");
    io_->Recv(connection->ours, &connection->recv.op);
    connections_.push_back(std::move(connection));
  }
  RunUntil([&] { return BuffersLent() == 4; });
  io_->Shutdown(armed->ours, SHUT_RDWR);
  RunUntil([&] { return armed->recv.done(); });
  EXPECT_EQ(armed->recv.result(), 0);
  ReturnAll();
}

INSTANTIATE_TEST_SUITE_P(, StarvedTest, BothKinds(), KindOfTest);

// --- buffers that grow --------------------------------------------------------------------------

class GrowingTest : public IoTest {};

TEST_P(GrowingTest, ParkingABufferLeavesItsNeighboursAlone) {
  io_.reset();
  UringOptions options;
  options.receive_buffers = 4;
  options.receive_buffers_max = 64;
  options.receive_buffer_bytes = 64;  // many to a page
  Make(options);
  std::vector<std::unique_ptr<Probe>> receives;
  for (int i = 0; i < 64; ++i) {
    const auto [ours, theirs] = Pair();
    Write(theirs, std::to_string(i));
    receives.push_back(std::make_unique<Probe>());
    io_->Recv(ours, &receives.back()->op);
  }
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(io_->ReceivedBytes(receives[i]->op), std::to_string(i));
    io_->ReturnBuffer(&receives[i]->op);
  }
}

TEST_P(GrowingTest, MoreBuffersAreMadeWhileSessionsKeepTheirs) {
  io_.reset();
  UringOptions options;
  options.receive_buffers = 4;
  options.receive_buffers_max = 64;
  options.receive_buffer_bytes = 4096;
  Make(options);
  EXPECT_EQ(BuffersMade(), 4u);
  std::vector<std::unique_ptr<Probe>> receives;
  for (int round = 0; round < 3; ++round) {
    // Nobody gives a buffer back, as with peers that do not read.
    for (int i = 0; i < 70; ++i) {
      const auto [ours, theirs] = Pair();
      Write(theirs, std::to_string(i));
      receives.push_back(std::make_unique<Probe>());
      io_->Recv(ours, &receives.back()->op);
    }
    RunUntil([&] { return BuffersLent() == 64; });
    Settle();
    EXPECT_EQ(io_->ops_in_flight(), 6u) << "the limit holds";
    EXPECT_EQ(BuffersMade(), 64u);
    for (int i = 0; i < 64; ++i) {
      const Probe& recv = *receives[static_cast<size_t>(i)];
      EXPECT_EQ(io_->ReceivedBytes(recv.op), std::to_string(i));
    }
    RunUntil([&] {
      for (auto& recv : receives) io_->ReturnBuffer(&recv->op);
      return io_->ops_in_flight() == 0;
    });
    for (auto& recv : receives) {
      EXPECT_EQ(recv->results.size(), 1u);
      io_->ReturnBuffer(&recv->op);
    }
    EXPECT_EQ(BuffersLent(), 0u);
    receives.clear();
  }
}

INSTANTIATE_TEST_SUITE_P(, GrowingTest, BothKinds(), KindOfTest);

}  // namespace
}  // namespace postern::io
