#include "proxy/admin/verb_arguments.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(VerbArguments, NamesOfBackends) {
  for (const char* good : {"m1", "mail-1.example_net", "7"}) {
    EXPECT_TRUE(CheckBackendName(good).ok()) << good;
  }
  for (const char* bad : {"", "m 1", "m/1", "-m", "m1/drain", "m\x1b[2J", "m?x"}) {
    const absl::Status status = CheckBackendName(bad);
    EXPECT_THAT(status.message(), HasSubstr("is no name of a backend")) << bad;
    EXPECT_THAT(status.message(), Not(HasSubstr("\x1b")));
  }
}

TEST(VerbArguments, Over) {
  for (const char* good : {"", "1ms", "90s", "24h"}) EXPECT_TRUE(CheckOver(good).ok()) << good;
  for (const char* bad : {"5", "0s", "25h", "soon", "-1s", "99999999999999999999h"}) {
    EXPECT_THAT(CheckOver(bad).message(), HasSubstr("--over must be a time, such as")) << bad;
  }
}

TEST(VerbArguments, Weights) {
  EXPECT_EQ(ReadWeight("0").value(), 0);
  EXPECT_EQ(ReadWeight("10000").value(), 10000);
  EXPECT_EQ(ReadWeight("configured").value(), std::nullopt);
  for (const char* bad : {"", "10001", "-1", "5%", "99999999999"}) {
    EXPECT_THAT(ReadWeight(bad).status().message(), HasSubstr("a number from 0 to 10000")) << bad;
  }
}

TEST(VerbArguments, Counts) {
  EXPECT_EQ(CountText(1, "session"), "1 session");
  EXPECT_EQ(CountText(0, "session"), "0 sessions");
}

}  // namespace
}  // namespace postern::admin
