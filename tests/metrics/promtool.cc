#include "tests/metrics/promtool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace postern::metrics {

bool HavePromtool() { return std::system("command -v promtool >/dev/null 2>&1") == 0; }

CommandResult RunPromtool(const std::string& arguments, absl::string_view input) {
  std::string file = ::testing::TempDir() + "postern_promtool_XXXXXX";
  const int fd = mkstemp(file.data());
  EXPECT_GE(fd, 0);
  close(fd);
  std::ofstream(file, std::ios::binary) << input;

  CommandResult result;
  const std::string command = "promtool " + arguments + " < '" + file + "' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  if (pipe != nullptr) {
    char buffer[4096];
    size_t length = 0;
    while ((length = fread(buffer, 1, sizeof(buffer), pipe)) > 0) {
      result.output.append(buffer, length);
    }
    const int status = pclose(pipe);
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  unlink(file.c_str());
  return result;
}

}  // namespace postern::metrics
