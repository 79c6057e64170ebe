// Waiting until a socket takes more. io_test.cc says on which kinds of Io.
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "gtest/gtest.h"
#include "proxy/io/io.h"
#include "tests/io/io_fixture.h"

namespace postern::io {
namespace {

TEST_P(IoTest, APollOfAFullSocketIsCancelledOrHearsOfItsEnd) {
  for (const bool cancel : {true, false}) {
    const auto [ours, theirs] = TcpPair();
    const std::string much(1 << 20, 'x');
    while (send(ours, much.data(), much.size(), MSG_DONTWAIT) > 0) {
    }
    Probe poll;
    io_->PollSend(ours, &poll.op);
    Settle();
    EXPECT_FALSE(poll.done());
    cancel ? io_->Cancel(&poll.op) : io_->Shutdown(ours, SHUT_RDWR);
    RunUntil([&] { return poll.done(); });
    if (cancel) {
      EXPECT_EQ(poll.result(), -ECANCELED);
    } else {
      EXPECT_GT(poll.result(), 0);
    }
  }
}

TEST_P(IoTest, APollOfASocketWithRoomIsToldSo) {
  const auto [ours, theirs] = TcpPair();
  Probe recv;
  io_->Recv(ours, &recv.op);
  Settle();
  // Nobody was told to wait, so the kernel has no news of its own: a long transfer that pauses for
  // the sake of others asks like this.
  for (int i = 0; i < 3; ++i) {
    Probe poll;
    io_->PollSend(ours, &poll.op);
    RunUntil([&] { return poll.done(); });
    EXPECT_GT(poll.result(), 0);
  }
  io_->Cancel(&recv.op);
  RunUntil([&] { return recv.done(); });
}

}  // namespace
}  // namespace postern::io
