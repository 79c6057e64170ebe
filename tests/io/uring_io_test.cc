#include "proxy/io/uring_io.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/io/io_fixture.h"

namespace postern::io {
namespace {

// What the ring alone does; the contract of Io is in io_test.cc.
class UringIoTest : public IoFixture {
 protected:
  UringIoTest() : IoFixture(IoKind::kUring) {}
};

TEST_F(UringIoTest, FullSubmissionQueueLosesNothing) {
  io_.reset();
  UringOptions options;
  options.sq_entries = 4;
  Make(options);
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 100; ++i) {
    const auto [ours, theirs] = Pair();
    Write(theirs, "x");
    probes.push_back(std::make_unique<Probe>());
    io_->Recv(ours, &probes.back()->op);
  }
  RunUntil([&] { return io_->ops_in_flight() == 0; });
  for (auto& probe : probes) {
    EXPECT_EQ(probe->result(), 1);
    io_->ReturnBuffer(&probe->op);
  }
  EXPECT_GT(Uring().sq_full(), 0u);
}

TEST_F(UringIoTest, OverflowingCompletionQueueLosesNothing) {
  io_.reset();
  UringOptions options;
  options.sq_entries = 32;
  options.cq_entries = 64;
  options.receive_buffers = 1024;
  options.receive_buffer_bytes = 256;
  Make(options);
  SocketAddress address;
  const int listener = Listen(&address);
  Probe accept;
  io_->Accept(listener, &accept.op);
  io_->RunOnce(0);
  constexpr size_t kClients = 500;
  for (size_t i = 0; i < kClients; ++i) {
    const int fd = Own(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(fd, address.data(), address.length()), 0) << errno;
    Write(fd, "QUIT\r\n");
  }
  RunUntil([&] { return accept.results.size() == kClients; });
  std::vector<std::unique_ptr<Probe>> receives;
  for (const int fd : accept.results) {
    receives.push_back(std::make_unique<Probe>());
    io_->Recv(Own(fd), &receives.back()->op);
  }
  RunUntil([&] { return io_->ops_in_flight() == 1; });
  for (auto& recv : receives) {
    EXPECT_EQ(recv->results, std::vector<int>{6});
    EXPECT_EQ(io_->ReceivedBytes(recv->op), "QUIT\r\n");
    io_->ReturnBuffer(&recv->op);
  }
  EXPECT_GT(io_->counts().cq_overflows, 0u);
  // The listener is not deaf.
  const int late = Own(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(late, address.data(), address.length()), 0);
  RunUntil([&] { return accept.results.size() == kClients + 1; });
  Own(accept.result());
  io_->Cancel(&accept.op);
  RunUntil([&] { return io_->ops_in_flight() == 0; });
}

// --- set-up -------------------------------------------------------------------------------------

TEST(UringSetup, RestrictionsRefuseWhatWeDoNotUse) {
  UringOptions options;
  auto io = UringIo::Create(options);
  ASSERT_TRUE(io.ok()) << io.status();
  if (!(*io)->features().restricted) GTEST_SKIP() << "this kernel has no restrictions";
  // IORING_OP_NOP, OPENAT, READ, SHUTDOWN, RENAMEAT, SOCKET.
  for (const int operation : {0, 18, 22, 34, 35, 45}) {
    EXPECT_EQ((*io)->TryOperation(static_cast<uint8_t>(operation)), -EACCES) << operation;
  }
}

TEST(UringSetup, WithoutRestrictionsOtherOperationsRun) {
  UringOptions options;
  options.restrict_operations = false;
  auto io = UringIo::Create(options);
  ASSERT_TRUE(io.ok()) << io.status();
  EXPECT_FALSE((*io)->features().restricted);
  EXPECT_EQ((*io)->TryOperation(0), 0);
}

TEST(UringSetup, ErrorsNameTheMend) {
  EXPECT_NE(UringError("x", EPERM).message().find("kernel.io_uring_disabled"), std::string::npos);
  EXPECT_NE(UringError("x", ENOSYS).message().find("5.19"), std::string::npos);
  EXPECT_NE(UringError("x", ENOMEM).message().find("LimitMEMLOCK"), std::string::npos);
}

}  // namespace
}  // namespace postern::io
