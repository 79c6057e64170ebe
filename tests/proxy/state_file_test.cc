#include "proxy/state_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/base/log.h"

namespace postern {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

config::Overlay NoOverlay() { return config::Overlay(); }

class StateFileTest : public ::testing::Test {
 protected:
  StateFileTest() {
    std::string pattern = ::testing::TempDir() + "/postern-state-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/state";
    log::Configure(log::Level::kError);
  }
  ~StateFileTest() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
    log::Configure(log::Level::kInfo);
  }

  static void Fill(routing::BackendStates* states) {
    states->Get("mail1")->SetService(routing::Service::kDraining, "uid 0", "new disks", 1);
    states->Get("mail2")->SetService(routing::Service::kDisabled, "uid 0", "", 1);
    states->Get("mail3");
    states->Get("mail4")->SetWeight(0, "uid 0", "too warm", 1);
    routing::Hold hold;
    hold.target = "alice@example.org";
    hold.who = "uid 1";
    hold.why = "a \\x09 tab";
    ASSERT_TRUE(states->holds()->Add(hold).ok());
    hold.kind = routing::Hold::Kind::kHashRange;
    hold.target = "0-7";
    ASSERT_TRUE(states->holds()->Add(hold).ok());
    ASSERT_TRUE(states->overrides()->Set("b\xc3\xb6 b@example.org", states->Get("mail9")).ok());
    ASSERT_TRUE(states->overrides()->Set("carol", states->Get("mail1")).ok());
    routing::GroupOverrides& groups = states->overrides()->groups();
    using Kind = routing::Hold::Kind;
    ASSERT_TRUE(groups.Set({Kind::kHashRange, "8-f"}, states->Get("mail2")).ok());
    ASSERT_TRUE(groups.Set({Kind::kHashRange, "0-f"}, states->Get("mail1")).ok());
    ASSERT_TRUE(groups.Set({Kind::kDomain, "example.net"}, states->Get("mail3")).ok());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(StateFileTest, WhatIsSavedIsThereAfterwards) {
  routing::BackendStates before;
  Fill(&before);
  config::Overlay overlay;
  overlay.removed.push_back({"mail2", "uid 0 (pid 7)", "too old"});
  overlay.added.resize(2);
  config::AddedBackend& added = overlay.added[0];
  added = {"mail8",    "mail",   "mail8.example.org:995", "mail1", R"({"named":true,"table":{}})",
           "implicit", "ca.pem", "mail.example.org",      0,       "uid 0 (pid 8)",
           "more room"};
  overlay.added[1].name = "mail9";
  overlay.added[1].pool = "mail";
  overlay.added[1].address = "192.0.2.9:110";
  StateFile file(path_, &before, [&overlay] { return overlay; });
  ASSERT_TRUE(file.Save().ok());
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u) << "names of users";

  routing::BackendStates after;
  const absl::StatusOr<SavedState> saved = LoadStateFile(path_);
  ASSERT_TRUE(saved.ok()) << saved.status();
  ASSERT_TRUE(ApplyState(*saved, &after).ok());
  EXPECT_EQ(after.Get("mail1")->service(), routing::Service::kDraining);
  EXPECT_EQ(after.Get("mail1")->Report(2).service_reason, "new disks");
  EXPECT_EQ(after.Get("mail1")->Report(2).service_by, "uid 0");
  EXPECT_EQ(after.Get("mail2")->service(), routing::Service::kDisabled);
  EXPECT_EQ(after.Get("mail3")->service(), routing::Service::kEnabled);
  EXPECT_TRUE(after.holds()->Covers("alice@example.org"));
  ASSERT_EQ(after.holds()->List().size(), 2u);
  EXPECT_EQ(after.holds()->List()[0].why, "a \\x09 tab");
  EXPECT_EQ(after.overrides()->size(), 2u);
  EXPECT_EQ(after.overrides()->Find("b\xc3\xb6 b@example.org"), after.Get("mail9"));
  EXPECT_EQ(after.overrides()->Find("carol"), after.Get("mail1"));
  EXPECT_EQ(after.Get("mail3")->Report(2).weight, routing::BackendWeight::kAsConfigured);
  EXPECT_EQ(after.Get("mail4")->Report(2).weight, 0);
  EXPECT_EQ(after.Get("mail4")->Report(2).weight_by, "uid 0");
  EXPECT_EQ(after.Get("mail4")->Report(2).weight_reason, "too warm");
  EXPECT_EQ(after.overrides()->Where("dave@example.net"), after.Get("mail3"));
  EXPECT_EQ(after.overrides()->Where("dave"), after.Get("mail1")) << "the last range";
  EXPECT_EQ(WriteState(after, saved->overlay), WriteState(before, overlay));
  ASSERT_EQ(saved->overlay.added.size(), 2u);
  EXPECT_EQ(saved->overlay.added[0].server_name, "mail.example.org");
  EXPECT_EQ(saved->overlay.added[0].weight, 0);
  EXPECT_EQ(saved->overlay.added[0].model, added.model);
  EXPECT_EQ(saved->overlay.added[1].weight, std::nullopt);
}

TEST_F(StateFileTest, ARangeOfHashesMayBeSpelledInSeveralWays) {
  const absl::StatusOr<SavedState> saved = ParseState(
      "postern state 1\nhold\thash\t00-7F\twho\twhy\nmoved\thash\t800-fff\tmail1\nend\t2\n", "f");
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->holds[0].target, "0-7");
  EXPECT_EQ(saved->group_moves[0].group.target, "8-f");
}

TEST_F(StateFileTest, NoFileAndNoNameSayNothing) {
  const absl::StatusOr<SavedState> saved = LoadStateFile(path_);
  ASSERT_TRUE(saved.ok());
  EXPECT_THAT(saved->moves, IsEmpty());
  routing::BackendStates states;
  Fill(&states);
  StateFile nowhere("", &states, NoOverlay);
  EXPECT_TRUE(nowhere.Save().ok());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(StateFileTest, AFailedWriteLeavesTheOldFile) {
  routing::BackendStates states;
  StateFile file(path_, &states, NoOverlay);
  ASSERT_TRUE(file.Save().ok());
  const std::string before = ReadAll(path_);
  Fill(&states);
  ASSERT_EQ(mkdir((path_ + ".new").c_str(), 0700), 0);
  EXPECT_THAT(std::string(file.Save().message()), HasSubstr("state_file"));
  EXPECT_EQ(ReadAll(path_), before);
  rmdir((path_ + ".new").c_str());
  EXPECT_TRUE(file.Save().ok());
  EXPECT_EQ(ReadAll(path_), WriteState(states, config::Overlay()));
  EXPECT_FALSE(StateFile("/nowhere/at/all", &states, NoOverlay).Save().ok());
  EXPECT_FALSE(LoadStateFile(directory_).ok()) << "a directory";
}

TEST_F(StateFileTest, ManyThreadsSaveAtOnce) {
  routing::BackendStates states;
  StateFile file(path_, &states, NoOverlay);
  const auto backend = states.Get("mail1");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string user = absl::StrCat("user", t, "-", i);
        EXPECT_TRUE(states.overrides()->Set(user, backend).ok());
        EXPECT_TRUE(file.Save().ok());
        EXPECT_THAT(ReadAll(path_), HasSubstr(absl::StrCat("move\t", user, "\tmail1\n")));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const absl::StatusOr<SavedState> saved = LoadStateFile(path_);
  ASSERT_TRUE(saved.ok());
  EXPECT_EQ(saved->moves.size(), 80u);
}

TEST_F(StateFileTest, DamageIsFoundAndTold) {
  routing::BackendStates states;
  Fill(&states);
  const std::string good = WriteState(states, config::Overlay());
  ASSERT_TRUE(ParseState(good, "state").ok());
  // Cut anywhere, it is no whole file.
  for (size_t length = 0; length < good.size(); ++length) {
    const auto cut = ParseState(good.substr(0, length), "state");
    ASSERT_FALSE(cut.ok()) << length;
    EXPECT_THAT(std::string(cut.status().message()), StartsWith("state:"));
    EXPECT_THAT(std::string(cut.status().message()), HasSubstr("move it away"));
  }
  const auto broken = [&good](const std::string& from, const std::string& to) {
    const std::string text = absl::StrReplaceAll(good, {{from, to}});
    EXPECT_NE(text, good) << from;
    return std::string(ParseState(text, "state").status().message());
  };
  EXPECT_THAT(broken("state 1", "state 2"), StartsWith("state:1: this is no state file"));
  EXPECT_THAT(broken("draining", "resting"), StartsWith("state:2: no service"));
  EXPECT_THAT(broken("hold\tuser", "hold\tking"), HasSubstr(": no hold"));
  EXPECT_THAT(broken("0-7", "7-0"), HasSubstr("no range of hashes"));
  EXPECT_THAT(broken("move\tcarol\t", "move\t\t"), HasSubstr("no move"));
  EXPECT_THAT(broken("move\tcarol", "stay\tcarol"), HasSubstr("not a line of this file"));
  EXPECT_THAT(broken("carol\tmail1", "carol\tmail1\tmail2"), HasSubstr("not a line of this file"));
  EXPECT_THAT(broken("carol", "ca\x01rol"), HasSubstr("a control byte"));
  EXPECT_THAT(broken("move\tcarol\tmail1\n", ""), HasSubstr("lines are missing"));
  const auto one_line = [](const std::string& line) {
    return std::string(
        ParseState("postern state 1\n" + line + "\nend\t1\n", "f").status().message());
  };
  EXPECT_EQ(one_line("added\ta\tmail\th:1\t\t\t\t\t\twho\twhy"), "");
  EXPECT_THAT(one_line("added\ta\t\th:1\t\t\t\t\t\twho\twhy"), HasSubstr("f:2: no backend"));
  EXPECT_THAT(one_line("added\ta\tmail\th:1\t\t\t\t\t10001\twho\twhy"), HasSubstr("no backend"));
  EXPECT_THAT(one_line("added\ta\tmail\th:1\twho\twhy"), HasSubstr("not a line of this file"));
  EXPECT_EQ(one_line("removed\ta\twho\twhy"), "");
  EXPECT_EQ(one_line("moved\tdomain\tx\tmail1"), "");
  EXPECT_THAT(one_line("moved\tuser\tx\tmail1"), HasSubstr("no move of many users"));
  EXPECT_THAT(one_line("moved\tdomain\tx\t"), HasSubstr("no move of many users"));
  EXPECT_THAT(one_line("moved\thash\tf-0\tmail1"), HasSubstr("no range of hashes"));
  EXPECT_THAT(one_line("removed\t\twho\twhy"), HasSubstr("not a line of this file"));
  EXPECT_THAT(std::string(ParseState(good + "x\n", "state").status().message()),
              HasSubstr("a line behind the end"));
}

}  // namespace
}  // namespace postern
