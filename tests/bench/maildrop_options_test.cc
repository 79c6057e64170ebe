#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/maildrop/options.h"

namespace postern::maildrop {
namespace {

absl::StatusOr<Options> Parse(std::vector<std::string> arguments, int* exit_code) {
  arguments.insert(arguments.begin(), "postern-maildrop");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  *exit_code = -1;
  return ParseCommandLine(static_cast<int>(pointers.size()), pointers.data(), exit_code);
}

Options Good(const std::vector<std::string>& arguments) {
  int exit_code = -1;
  absl::StatusOr<Options> options = Parse(arguments, &exit_code);
  EXPECT_EQ(exit_code, -1);
  EXPECT_TRUE(options.ok()) << options.status();
  return options.ok() ? *options : Options();
}

TEST(MaildropOptionsTest, NothingIsNeeded) {
  const Options options = Good({});
  ASSERT_EQ(options.listen.size(), 1u);
  EXPECT_EQ(options.listen[0].address.ToString(), "127.0.0.1:1110");
  EXPECT_EQ(options.mailbox.messages, 10u);
  EXPECT_FALSE(options.mailbox.counts.has_value());
  EXPECT_EQ(options.mailbox.sizes.SizeOf(1), 5000u);
  EXPECT_FALSE(options.xclient || options.proxy_protocol || options.verbose);
  EXPECT_EQ(options.mss, 0);
}

TEST(MaildropOptionsTest, EveryPhaseHasItsLatency) {
  const Options options =
      Good({"--latency-greeting-ms", "1", "--latency-user-ms", "2", "--latency-pass-ms", "3.5",
            "--latency-list-ms", "4", "--latency-retr-ms", "5", "--latency-quit-ms", "6"});
  EXPECT_EQ(options.greeting_latency, 1 * kMillisecond);
  EXPECT_EQ(options.user_latency, 2 * kMillisecond);
  EXPECT_EQ(options.pass_latency, 3500 * kMicrosecond);
  EXPECT_EQ(options.list_latency, 4 * kMillisecond);
  EXPECT_EQ(options.retr_latency, 5 * kMillisecond);
  EXPECT_EQ(options.quit_latency, 6 * kMillisecond);
}

TEST(MaildropOptionsTest, MailboxesHaveShapes) {
  EXPECT_EQ(Good({"--messages", "0"}).mailbox.messages, 0u);
  EXPECT_EQ(Good({"--messages", "fixed:7"}).mailbox.messages, 7u);
  const Options options = Good({"--messages", "uniform:3-5", "--sizes", "weighted:2000=1,3000=1"});
  ASSERT_TRUE(options.mailbox.counts.has_value());
  EXPECT_GE(options.mailbox.CountOf(1), 3u);
  EXPECT_LE(options.mailbox.CountOf(1), 5u);
  EXPECT_FALSE(options.mailbox.sizes.fixed());
}

TEST(MaildropOptionsTest, OnlyHelpEndsTheProgramWell) {
  int exit_code = -1;
  testing::internal::CaptureStdout();
  EXPECT_TRUE(Parse({"--help"}, &exit_code).ok());
  EXPECT_EQ(exit_code, 0);
  EXPECT_NE(testing::internal::GetCapturedStdout().find("--fault-percent"), std::string::npos);
  EXPECT_EQ(Parse({"--tls", "1"}, &exit_code).status().message(),
            "--tls: \"1\" is not implicit, off or stls");
}

TEST(MaildropOptionsTest, MistakesAreSentences) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--mss", "100"},
                                             {"--backlog", "0"},
                                             {"--latency-user-ms", "-1"},
                                             {"--size", "2000", "--sizes", "fixed:2000"},
                                             {"--fault", "sulk"},
                                             {"--fault", "3"},
                                             {"--sulk"},
                                             {"--messages", "many"},
                                             {"--messages", "100001"},
                                             {"--sizes", "huge"},
                                             {"--apop"},
                                             {"--listen", "127.0.0.1:0,implicit"},
                                             {"--name", "two words"}}) {
    int exit_code = -1;
    const absl::StatusOr<Options> options = Parse(arguments, &exit_code);
    EXPECT_EQ(exit_code, -1) << arguments[0];
    ASSERT_FALSE(options.ok()) << arguments[0];
    EXPECT_EQ(options.status().message().find_first_of("{}"), absl::string_view::npos)
        << options.status();
  }
}

}  // namespace
}  // namespace postern::maildrop
