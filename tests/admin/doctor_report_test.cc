#include "proxy/admin/doctor_report.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "proxy/admin/doctor_machine.h"

namespace postern::admin {
namespace {

class DoctorReportTest : public ::testing::Test {
 protected:
  std::string text_;
  DoctorReport report_{[this](absl::string_view text) { text_.append(text.data(), text.size()); }};
};

TEST_F(DoctorReportTest, ReadsLikeThis) {
  report_.Begin("Files");  // nothing to be said of them
  report_.Begin("Backends");
  report_.Good("mail1 answers");
  report_.Note("mail2 takes XCLIENT");
  report_.Warn("mail3 is slow", "look at its disks");
  report_.Bad("mail4 is down", "start it");
  report_.Bad("mail5 is down", "");
  report_.End();
  EXPECT_EQ(text_,
            "Backends\n"
            "  ok     mail1 answers\n"
            "  note   mail2 takes XCLIENT\n"
            "  warn   mail3 is slow\n"
            "         -> look at its disks\n"
            "  BAD    mail4 is down\n"
            "         -> start it\n"
            "  BAD    mail5 is down\n"
            "2 problems, 1 warning.\n");
  EXPECT_EQ(report_.problems(), 2);
  EXPECT_EQ(report_.warnings(), 1);
}

TEST_F(DoctorReportTest, NothingToMend) {
  report_.Good("all");
  report_.End();
  EXPECT_EQ(text_, "  ok     all\nNothing to mend.\n");
}

TEST_F(DoctorReportTest, LongSentencesAreBrokenBetweenWords) {
  std::string words;
  for (int i = 0; i < 60; ++i) words += "word ";
  report_.Warn(words + "end", words + "end");
  for (const absl::string_view line : absl::StrSplit(text_, '\n')) EXPECT_LE(line.size(), 98u);
  EXPECT_NE(text_.find("\n         word"), std::string::npos);
  EXPECT_NE(text_.find("\n            word"), std::string::npos);
  // A word that fits on no line is not cut.
  text_.clear();
  report_.Good(std::string(200, 'x'));
  EXPECT_EQ(text_, "  ok     " + std::string(200, 'x') + "\n");
}

class DoctorMachineTest : public DoctorReportTest {
 protected:
  DoctorMachineTest() {
    config_.listeners.resize(1);
    config_.backends.resize(1);
    config_.backends[0].address.host = "10.0.0.1";
    config_.backends[0].address.port = 110;
    config_.limits.sessions_max = 20000;
    facts_.open_files = 1 << 20;
    facts_.port_first = 32768;
    facts_.port_last = 60999;
    facts_.somaxconn = 4096;
    facts_.io_uring_disabled = 0;
  }

  std::string Checked() {
    text_.clear();
    CheckMachine(config_, facts_, &report_);
    text_ = absl::StrReplaceAll(text_, {{"\n            ", " "}, {"\n         ", " "}});
    return text_;
  }

  config::Config config_;
  MachineFacts facts_;
};

TEST_F(DoctorMachineTest, Enough) {
  EXPECT_EQ(Checked(),
            "  ok     open files: 1048576 for a server started here, 40200 needed for "
            "limits.sessions = 20000\n"
            "  ok     local ports: 28232 (32768 to 60999) for each of 1 backend\n");
}

TEST_F(DoctorMachineTest, TooFewOpenFiles) {
  facts_.open_files = 1024;
  facts_.of_running = true;
  EXPECT_NE(Checked().find("open files: 1024 for the running server are enough for about 412 "),
            std::string::npos);
  EXPECT_NE(text_.find("-> set LimitNOFILE=40200 in the unit"), std::string::npos);
  facts_.open_files = 100;
  EXPECT_NE(Checked().find("about 0 sessions"), std::string::npos);
  EXPECT_EQ(report_.warnings(), 2);
}

TEST_F(DoctorMachineTest, TooFewPorts) {
  config_.limits.sessions_max = 30000;
  EXPECT_NE(Checked().find("fewer than limits.sessions = 30000"), std::string::npos);
  // Each address has ports of its own, two names of one address have not.
  config_.backends.push_back(config_.backends[0]);
  EXPECT_NE(Checked().find("for each of 1 backend,"), std::string::npos);
  config_.backends[1].address.host = "10.0.0.2";
  EXPECT_NE(Checked().find("for each of 2 backends\n"), std::string::npos);
  config_.backends = {config::Backend()};
  config_.backends[0].address.unix_path = "/run/pop3";
  EXPECT_EQ(Checked().find("ports"), std::string::npos);
}

TEST_F(DoctorMachineTest, BacklogAndIo) {
  facts_.somaxconn = 128;
  EXPECT_NE(Checked().find("backlog = 4096 of a listener is cut to net.core.somaxconn = 128"),
            std::string::npos);
  facts_.io_uring_disabled = 2;
  EXPECT_NE(Checked().find("note   kernel.io_uring_disabled = 2"), std::string::npos);
  config_.io = config::IoChoice::kUring;
  EXPECT_NE(Checked().find("BAD    kernel.io_uring_disabled = 2"), std::string::npos);
  config_.io = config::IoChoice::kEpoll;
  EXPECT_EQ(Checked().find("io_uring"), std::string::npos);
}

TEST(DoctorMachine, ReadsTheRunningServersLimit) {
  const MachineFacts told =
      ReadMachineFacts("# HELP x\nprocess_open_fds 5\nprocess_max_fds 4242\n");
  EXPECT_TRUE(told.of_running);
  EXPECT_EQ(told.open_files, 4242u);
  for (const absl::string_view text : {"", "process_max_fds x", "process_max_fds -1"}) {
    EXPECT_FALSE(ReadMachineFacts(text).of_running) << text;
  }
}

}  // namespace
}  // namespace postern::admin
