#include "proxy/base/line_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern {
namespace {

using ::testing::HasSubstr;

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Fills the pipe behind `path` until it takes no byte more; returns how many it took.
uint64_t FillFifo(const std::string& path) {
  const int writer = open(path.c_str(), O_WRONLY | O_NONBLOCK);
  uint64_t bytes = 0;
  while (writer >= 0) {
    const std::string block(4096, '-');
    const ssize_t got = write(writer, block.data(), block.size());
    if (got < 0) break;
    bytes += static_cast<uint64_t>(got);
  }
  close(writer);
  return bytes;
}

// A directory of its own for each test, removed at the end.
class LineLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/line_log_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    for (const char* name : {"/log", "/log.1", "/fifo"}) unlink((directory_ + name).c_str());
    rmdir(directory_.c_str());
  }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

TEST_F(LineLogTest, WritesLinesInOrderAndAppends) {
  for (const char* line : {"first", "second"}) {
    auto log = LineLog::Open(Path("log"));
    ASSERT_TRUE(log.ok()) << log.status();
    (*log)->Write(line);
    (*log)->Write("");
  }
  EXPECT_EQ(Contents(Path("log")), "first\n\nsecond\n\n");
  struct stat info {};
  ASSERT_EQ(stat(Path("log").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 027, 0u);
}

TEST_F(LineLogTest, KeepsEveryLineOfManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kLines = 500;
  auto log = LineLog::Open(Path("log"));
  ASSERT_TRUE(log.ok()) << log.status();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < kLines; ++i) (*log)->Write(absl::StrCat("t", t, " ", i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE((*log)->Flush(absl::Seconds(60)));
  EXPECT_EQ((*log)->dropped(), 0u);
  int next[kThreads] = {};
  for (absl::string_view line : absl::StrSplit(Contents(Path("log")), '\n', absl::SkipEmpty())) {
    const int thread = line[1] - '0';
    ASSERT_TRUE(thread >= 0 && thread < kThreads) << line;
    EXPECT_EQ(line, absl::StrCat("t", thread, " ", next[thread]++));
  }
  for (const int count : next) EXPECT_EQ(count, kLines);
}

TEST_F(LineLogTest, ControlBytesCannotMakeASecondLine) {
  auto log = LineLog::Open(Path("log"));
  ASSERT_TRUE(log.ok()) << log.status();
  (*log)->Write("user=a\r\nuser=b\x1b[2J\x7f \xc3\xa9 {} %s");
  (*log).reset();
  EXPECT_EQ(Contents(Path("log")), "user=a??user=b?[2J? \xc3\xa9 {} %s\n");
}

TEST_F(LineLogTest, ReopenFollowsLogrotate) {
  auto log = LineLog::Open(Path("log"));
  ASSERT_TRUE(log.ok()) << log.status();
  (*log)->Write("before");
  ASSERT_TRUE((*log)->Flush(absl::Seconds(60)));
  ASSERT_EQ(rename(Path("log").c_str(), Path("log.1").c_str()), 0);
  (*log)->Write("between");
  (*log)->Reopen();
  (*log)->Write("after");
  ASSERT_TRUE((*log)->Flush(absl::Seconds(60)));
  EXPECT_EQ(Contents(Path("log.1")), "before\nbetween\n");
  EXPECT_EQ(Contents(Path("log")), "after\n");
}

TEST_F(LineLogTest, CheckSaysWhatOpenWouldAndLeavesNothingBehind) {
  EXPECT_TRUE(LineLog::Check("-").ok());
  EXPECT_TRUE(LineLog::Check(Path("log")).ok());
  struct stat info {};
  EXPECT_NE(stat(Path("log").c_str(), &info), 0);
  {
    auto log = LineLog::Open(Path("log"));
    ASSERT_TRUE(log.ok()) << log.status();
    (*log)->Write("line");
  }
  EXPECT_TRUE(LineLog::Check(Path("log")).ok());
  EXPECT_EQ(Contents(Path("log")), "line\n");
  // A file for a directory, no directory, a directory for a file, and a pipe that nobody reads.
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  for (const std::string& path : {Path("log/x"), Path("none/x"), directory_, Path("fifo")}) {
    const absl::Status status = LineLog::Check(path);
    EXPECT_EQ(status, LineLog::Open(path).status());
    EXPECT_THAT(std::string(status.message()),
                ::testing::StartsWith(path + ": cannot be opened for writing: "));
  }
}

TEST_F(LineLogTest, ReopenThatFailsKeepsTheOldFile) {
  auto log = LineLog::Open(Path("log"));
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_EQ(rename(Path("log").c_str(), Path("log.1").c_str()), 0);
  ASSERT_EQ(mkdir(Path("log").c_str(), 0700), 0);  // a directory cannot be opened for writing
  (*log)->Reopen();
  (*log)->Write("kept");
  ASSERT_TRUE((*log)->Flush(absl::Seconds(60)));
  EXPECT_EQ(Contents(Path("log.1")), "kept\n");
  EXPECT_EQ((*log)->dropped(), 0u);
  ASSERT_EQ(rmdir(Path("log").c_str()), 0);
}

// F27: the disk is full.
TEST_F(LineLogTest, FullDiskIsCountedNotFatal) {
  auto log = LineLog::Open("/dev/full");
  ASSERT_TRUE(log.ok()) << log.status();
  for (int i = 0; i < 10; ++i) (*log)->Write("line");
  ASSERT_TRUE((*log)->Flush(absl::Seconds(60)));
  EXPECT_EQ((*log)->dropped(), 10u);
}

// F27: the reader of the log stands still. The writer goes on; what does not fit is counted, and
// what was not dropped arrives when the reader wakes up.
TEST_F(LineLogTest, BlockedPipeNeverBlocksTheWriter) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  const int reader = open(Path("fifo").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  constexpr size_t kQueue = 16;
  constexpr uint64_t kLines = 5000;  // of 100 bytes
  const uint64_t filled = FillFifo(Path("fifo"));
  ASSERT_GT(filled, 0u);
  {
    auto log = LineLog::Open(Path("fifo"), kQueue);
    ASSERT_TRUE(log.ok()) << log.status();
    const std::string line(99, 'x');
    // Returns, or the test never ends.
    for (uint64_t i = 0; i < kLines; ++i) (*log)->Write(line);
    // One line may be in the writing thread's hands, the rest is in the queue or gone.
    EXPECT_GE((*log)->dropped(), kLines - kQueue - 1);
    EXPECT_FALSE((*log)->Flush(absl::ZeroDuration()));

    std::atomic<bool> stop{false};
    uint64_t bytes = 0;
    std::thread drain([&] {
      char buffer[65536];
      while (true) {
        const bool last = stop;
        const ssize_t got = read(reader, buffer, sizeof(buffer));
        if (got > 0) {
          bytes += static_cast<uint64_t>(got);
        } else if (last) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
    EXPECT_TRUE((*log)->Flush(absl::Seconds(60)));
    stop = true;
    drain.join();
    EXPECT_EQ(bytes, filled + (kLines - (*log)->dropped()) * 100);
  }
  close(reader);
}

// A reader that never wakes up does not keep the process from ending.
TEST_F(LineLogTest, DestructorGivesUpOnABlockedPipe) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  const int reader = open(Path("fifo").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_GT(FillFifo(Path("fifo")), 0u);
  auto log = LineLog::Open(Path("fifo"), 16);
  ASSERT_TRUE(log.ok()) << log.status();
  for (int i = 0; i < 20; ++i) (*log)->Write("line");
  (*log).reset();  // returns, or the test never ends
  close(reader);
}

// A reader that went away is an error value, not a SIGPIPE that ends the process.
TEST_F(LineLogTest, ClosedPipeIsCountedNotFatal) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  const int reader = open(Path("fifo").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  auto log = LineLog::Open(Path("fifo"));
  ASSERT_TRUE(log.ok()) << log.status();
  close(reader);
  (*log)->Write("nobody reads this");
  ASSERT_TRUE((*log)->Flush(absl::Seconds(60)));
  EXPECT_EQ((*log)->dropped(), 1u);
}

TEST_F(LineLogTest, OpenNamesTheFileThatCannotBeOpened) {
  const auto log = LineLog::Open(Path("missing/log"));
  ASSERT_FALSE(log.ok());
  EXPECT_THAT(std::string(log.status().message()), HasSubstr(Path("missing/log")));
  EXPECT_THAT(std::string(log.status().message()), HasSubstr("No such file"));
}

}  // namespace
}  // namespace postern
