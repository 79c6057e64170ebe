#include "proxy/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::log {
namespace {

using ::testing::MatchesRegex;

// What the process log writes to stderr while `say` runs.
template <typename Say>
std::string Said(Say say) {
  Flush();
  ::testing::internal::CaptureStderr();
  say();
  Flush();
  return ::testing::internal::GetCapturedStderr();
}

constexpr char kTime[] = "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z ";

TEST(Log, OneLineWithTimeAndLevel) {
  Configure(Level::kInfo);
  EXPECT_THAT(Said([] { Info("listening on [::]:995"); }),
              MatchesRegex(std::string(kTime) + "info: listening on \\[::\\]:995\n"));
  EXPECT_THAT(Said([] { Error("{} %s %n"); }),
              MatchesRegex(std::string(kTime) + "error: \\{\\} %s %n\n"));
}

TEST(Log, EachLineOfAMessageHasItsOwnHead) {
  Configure(Level::kInfo);
  EXPECT_THAT(Said([] { Warning("a:1:2: one\na:3:4: two\x1b"); }),
              MatchesRegex(std::string(kTime) + "warning: a:1:2: one\n" + kTime +
                           "warning: a:3:4: two\\?\n"));
}

TEST(Log, LevelLeavesOutWhatIsBelow) {
  const auto all = [] {
    Debug("d");
    Info("i");
    Warning("w");
    Error("e");
  };
  Configure(Level::kError);
  EXPECT_THAT(Said(all), MatchesRegex(std::string(kTime) + "error: e\n"));
  Configure(Level::kDebug);
  EXPECT_THAT(Said(all), MatchesRegex(std::string(kTime) + "debug: d\n" + kTime + "info: i\n" +
                                      kTime + "warning: w\n" + kTime + "error: e\n"));
  Configure(Level::kInfo);
  EXPECT_FALSE(Enabled(Level::kDebug));
  EXPECT_TRUE(Enabled(Level::kInfo));
}

TEST(Log, LevelNames) {
  for (const Level level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError}) {
    EXPECT_EQ(LevelFromName(LevelName(level)), level);
  }
  EXPECT_EQ(LevelFromName("verbose"), std::nullopt);
}

// F27: whoever reads our stderr stands still.
TEST(Log, BlockedStderrNeverBlocksTheCaller) {
  Configure(Level::kInfo);
  Flush();
  const uint64_t dropped_before = DroppedLines();
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  const int real_stderr = dup(STDERR_FILENO);
  ASSERT_EQ(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
  const std::string line(200, 'x');
  // Far more than a pipe and the queue hold. Returns, or the test never ends.
  for (int i = 0; i < 5000; ++i) Info(line);
  EXPECT_GT(DroppedLines(), dropped_before);
  // Without its reader the pipe wakes the log up again.
  close(pipe_fds[0]);
  Flush();
  ASSERT_EQ(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO);
  close(real_stderr);
  close(pipe_fds[1]);
  EXPECT_THAT(Said([] { Info("back again"); }),
              MatchesRegex(std::string(kTime) + "info: back again\n"));
}

}  // namespace
}  // namespace postern::log
