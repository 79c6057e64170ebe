#include "proxy/io/make_io.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "gtest/gtest.h"

namespace postern::io {
namespace {

// What a container's seccomp profile does. For the rest of this process's life.
void ForbidIoUring(uint32_t error) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog filter{};
  filter.len = static_cast<unsigned short>(program.size());
  filter.filter = program.data();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    std::perror("seccomp");
    std::_Exit(99);
  }
}

// Run in a child: says on stderr what MakeIo() answered there.
void TellWhatIsMade(IoKind kind, uint32_t error) {
  ForbidIoUring(error);
  {
    auto made = MakeIo(kind, UringOptions());
    if (!made.ok()) {
      std::fprintf(stderr, "error: %s\n", made.status().ToString().c_str());
    } else {
      made->io->Wake();
      made->io->RunOnce(kSecond);
      std::fprintf(stderr, "%s: %s\n", IoKindName(made->kind), made->warning.c_str());
    }
  }
  std::_Exit(0);
}

const testing::ExitedWithCode kWell(0);

TEST(MakeIoDeathTest, AutoFallsBackToEpollAndSaysWhy) {
  EXPECT_EXIT(TellWhatIsMade(IoKind::kAuto, EPERM), kWell,
              "^epoll: running on epoll.*io_uring is forbidden here: check `sysctl "
              "kernel.io_uring_disabled`.*seccomp.*io = \"epoll\"");
}

TEST(MakeIoDeathTest, AutoFallsBackOnAKernelWithoutIoUring) {
  EXPECT_EXIT(TellWhatIsMade(IoKind::kAuto, ENOSYS), kWell, "^epoll: .*the kernel is too old");
}

TEST(MakeIoDeathTest, AutoFallsBackWhereMemoryMayNotBeLocked) {
  EXPECT_EXIT(TellWhatIsMade(IoKind::kAuto, ENOMEM), kWell, "^epoll: .*LimitMEMLOCK");
}

TEST(MakeIoDeathTest, UringForcedIsAnErrorThatNamesTheMend) {
  EXPECT_EXIT(TellWhatIsMade(IoKind::kUring, EPERM), kWell,
              "^error: PERMISSION_DENIED: io_uring: setting up the ring failed: Operation not "
              "permitted; io_uring is forbidden here");
}

TEST(MakeIoDeathTest, EpollForcedDoesNotAskForARing) {
  EXPECT_EXIT(TellWhatIsMade(IoKind::kEpoll, EPERM), kWell, "^epoll: \n");
}

TEST(MakeIo, AutoPrefersIoUring) {
  const auto made = MakeIo(IoKind::kAuto, UringOptions());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->kind, IoKind::kUring);
  EXPECT_EQ(made->warning, "");
}

}  // namespace
}  // namespace postern::io
