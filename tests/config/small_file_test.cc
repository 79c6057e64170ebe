#include "proxy/config/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::config {
namespace {

using ::testing::HasSubstr;

class SmallFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/small_file_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    pipe_ = directory_ + "/pipe";
    ASSERT_EQ(mkfifo(pipe_.c_str(), 0600), 0);
  }
  void TearDown() override {
    unlink(pipe_.c_str());
    rmdir(directory_.c_str());
  }

  std::string directory_;
  std::string pipe_;
};

TEST_F(SmallFileTest, APipeIsReadToItsEnd) {
  const std::string text(100000, 'x');  // more than a pipe holds
  std::thread writer([&] {
    const int fd = open(pipe_.c_str(), O_WRONLY | O_CLOEXEC);
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t count = write(fd, text.data() + done, text.size() - done);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    close(fd);
  });
  const absl::StatusOr<Secret> read = ReadSmallFile(pipe_, 1 << 20, FilePrivacy::kOwnerOnly);
  writer.join();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->view(), text);
}

TEST_F(SmallFileTest, APipeWithoutAWriterHoldsNobodyUp) {
  const absl::StatusOr<Secret> read = ReadSmallFile(pipe_, 1000, FilePrivacy::kOwnerOnly);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("nobody has written into it"));
}

TEST_F(SmallFileTest, APipeWhoseWriterSaysNothingHoldsNobodyUp) {
  // Without waiting for a reader.
  const int writer = open(pipe_.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  const absl::StatusOr<Secret> read = ReadSmallFile(pipe_, 1000, FilePrivacy::kOwnerOnly);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("nobody has written into it"));
  close(writer);
}

}  // namespace
}  // namespace postern::config
