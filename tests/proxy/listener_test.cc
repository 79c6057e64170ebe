#include "proxy/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"

namespace postern {
namespace {

using ::testing::HasSubstr;

SocketAddress Bound(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return SocketAddress(reinterpret_cast<const sockaddr*>(&storage), length);
}

TEST(OpenListeningSocket, WorkersShareAPort) {
  const absl::StatusOr<int> first =
      OpenListeningSocket(*SocketAddress::Parse("127.0.0.1:0"), true, 16);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::StatusOr<int> second = OpenListeningSocket(Bound(*first), true, 16);
  EXPECT_TRUE(second.ok()) << second.status();
  int nodelay = 0;
  socklen_t length = sizeof(nodelay);
  getsockopt(*first, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length);
  EXPECT_NE(nodelay, 0);
  int idle_seconds = 0;
  length = sizeof(idle_seconds);
  getsockopt(*first, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, &length);
  EXPECT_EQ(idle_seconds, 60);
  close(*first);
  if (second.ok()) close(*second);
}

TEST(CheckUnused, FindsASocketThatWouldShareThePort) {
  const absl::StatusOr<int> first =
      OpenListeningSocket(*SocketAddress::Parse("127.0.0.1:0"), true, 16);
  ASSERT_TRUE(first.ok()) << first.status();
  const SocketAddress taken = Bound(*first);
  const absl::Status status = CheckUnused(taken, true, 0);
  EXPECT_THAT(std::string(status.message()), HasSubstr(taken.ToString()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("another program"));
  // One that is about to go is waited for.
  std::thread closer([fd = *first] { close(fd); });
  EXPECT_TRUE(CheckUnused(taken, true, 30 * kSecond).ok());
  closer.join();
  EXPECT_TRUE(CheckUnused(*SocketAddress::Parse("127.0.0.1:0"), true, 0).ok());
}

TEST(OpenListeningSocket, ErrorsNameTheAddressAndTheMend) {
  // Bound by somebody who does not share.
  const int other = socket(AF_INET, SOCK_STREAM, 0);
  const SocketAddress any = *SocketAddress::Parse("127.0.0.1:0");
  ASSERT_EQ(bind(other, any.data(), any.length()), 0);
  ASSERT_EQ(listen(other, 1), 0);
  const SocketAddress taken = Bound(other);
  const absl::StatusOr<int> opened = OpenListeningSocket(taken, true, 16);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr(taken.ToString()));
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("another program"));
  close(other);
  const absl::StatusOr<int> foreign =
      OpenListeningSocket(*SocketAddress::Parse("192.0.2.1:0"), true, 16);
  ASSERT_FALSE(foreign.ok());
  EXPECT_THAT(std::string(foreign.status().message()), HasSubstr("no such address"));
}

class Owner : public ListenerOwner {
 public:
  void OnAccepted(Listener*, int fd) override { accepted.push_back(fd); }
  void OnAcceptError(Listener*, int error) override { errors.push_back(error); }
  void OnListenerStopped(Listener*) override { stopped = true; }
  std::vector<int> accepted;
  std::vector<int> errors;
  bool stopped = false;
};

TEST(Listener, RunningOutOfDescriptorsTriesAgainLaterWithoutSpinning) {
  sim::FaultPlan plan = sim::FaultPlan::Kind();
  plan.fail_operation = 2;  // the first accept is armed as 1
  sim::SimIo io(7, plan);
  const SocketAddress address = *SocketAddress::Parse("192.0.2.9:110");
  Owner owner;
  {
    Listener listener(&io, &owner, address.ToString(), 0, io.Listen(address));
    listener.Start();
    for (int i = 0; i < 3; ++i) io.ConnectTo(address, *SocketAddress::Parse("192.0.2.1:4000"));
    int turns = 0;
    while (owner.accepted.size() < 3 && turns < 1000) {
      io.RunOnce(kSecond);
      ++turns;
    }
    EXPECT_EQ(owner.accepted.size(), 3u);
    EXPECT_LT(turns, 100);
    listener.Stop();
    while (!owner.stopped && turns++ < 2000) io.RunOnce(kSecond);
    EXPECT_TRUE(owner.stopped);
  }
  for (const int fd : owner.accepted) io.Close(fd);
}

}  // namespace
}  // namespace postern
