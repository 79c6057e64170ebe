#include "routing/user_map_file.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

const TargetNames& Targets() {
  static const auto* const targets = new TargetNames{
      {"mail1", 0}, {"mail2", 1}, {"pool", 2}, {"both", kAmbiguousTarget}, {"a b", 3}};
  return *targets;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    char path[] = "/tmp/postern_map_XXXXXX";
    const int fd = mkstemp(path);
    EXPECT_GE(fd, 0);
    close(fd);
    path_ = path;
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int TargetOf(const UserMap& map, absl::string_view user) {
  const auto hit = map.Find(user);
  return hit.has_value() ? static_cast<int>(hit->target) : -1;
}

TEST(UserMapFileTest, AcceptsWhatPeopleWrite) {
  const std::string text =
      "\xef\xbb\xbf# users of the old farm\r\n"
      "\n"
      "alice@Example.ORG\tmail1\r\n"
      "   \t \n"
      "  # an indented comment\n"
      "bob@example.org\t\tmail2  \n"
      "  carol \t pool\t# moved in spring\n"
      "dave#1\tmail1 #\n"
      "j\xf6rg\tmail2\n"
      "alice@example.org\tmail1\n"
      "*@Example.net\ta b\n"
      "two words\tmail1\n"
      "last\tmail2";
  const auto map = ParseUserMap(text, "users.map", {}, Targets());
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ((*map)->size(), 8u);
  EXPECT_EQ(TargetOf(**map, "alice@example.org"), 0);
  EXPECT_EQ(TargetOf(**map, "bob@example.org"), 1);
  EXPECT_EQ(TargetOf(**map, "carol"), 2);
  EXPECT_EQ(TargetOf(**map, "dave#1"), 0);
  EXPECT_EQ(TargetOf(**map, "j\xf6rg"), 1);
  EXPECT_EQ(TargetOf(**map, "anybody@example.net"), 3);
  EXPECT_EQ(TargetOf(**map, "two words"), 0);
  EXPECT_EQ(TargetOf(**map, "last"), 1);
  EXPECT_EQ(TargetOf(**map, "mail1"), -1);
}

TEST(UserMapFileTest, EmptyFilesAreMapsOfNobody) {
  for (const char* text : {"", "\n", "# nobody\n", "\xef\xbb\xbf", "\r\n\r\n"}) {
    const auto map = ParseUserMap(text, "users.map", {}, Targets());
    ASSERT_TRUE(map.ok()) << map.status();
    EXPECT_EQ((*map)->size(), 0u);
  }
}

TEST(UserMapFileTest, NormalisesLikeLogins) {
  const UserOptions options{.default_domain = "example.org", .strip_domain = "old.example"};
  const auto map = ParseUserMap("alice\tmail1\nbob@OLD.example\tmail2\n", "m", options, Targets());
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(TargetOf(**map, "alice@example.org"), 0);
  EXPECT_EQ(TargetOf(**map, "bob@example.org"), 1);
}

struct BadCase {
  const char* text;
  const char* error;
};

TEST(UserMapFileTest, MistakesNameTheirPlace) {
  const std::vector<BadCase> cases = {
      {"a\tmail1\nb\tmail9\n",
       "users.map:2:3: \"mail9\" is neither a backend nor a pool; add it to the configuration or "
       "correct the name"},
      {"a\tmail1\r\nb\t  MAIL1\r\n", "users.map:2:5: \"MAIL1\" is neither"},
      {"a\tma\x1b[31mil\n", "users.map:1:3: \"ma\\x1b[31mil\" is neither"},
      {"a\tboth\n", "users.map:1:3: \"both\" is the name of a backend and of a pool"},
      {"# x\n\na mail1\n",
       "users.map:3:1: a user and its backend or pool are expected, with a tab"},
      {"a\n", "users.map:1:1: a user and its backend or pool are expected"},
      {"a\t\n", "users.map:1:1: a user and its backend or pool are expected"},
      {"a\t # mail1\n", "users.map:1:1: a user and its backend or pool are expected"},
      {"\tmail1\n", "users.map:1:1: a user and its backend or pool are expected"},
      {"  @x\tmail1\n", "users.map:1:3: the user name has nothing before the '@'"},
      {"x@\tmail1\n", "users.map:1:1: the user name has nothing behind the '@'"},
      {"a\x01z\tmail1\n", "users.map:1:1: the user name contains control bytes"},
      {"a\rb\tmail1\n", "users.map:1:1: the user name contains control bytes"},
      {"*\tmail1\n", "users.map:1:1: \"*\" is not a user; for everybody else put a route"},
      {"*@\tmail1\n", "users.map:1:1: behind \"*@\" stands exactly one domain"},
      {"a\tmail1\nb\tmail1\n\na\tmail2\n",
       "users.map:4:3: the user already has another target in line 1; keep one of the lines"},
      {"#\n*@X\tmail1\n*@x\tpool\n",
       "users.map:3:5: the user already has another target in line 2; keep one of the lines"},
  };
  for (const BadCase& c : cases) {
    const auto map = ParseUserMap(c.text, "users.map", {}, Targets());
    ASSERT_FALSE(map.ok()) << c.text;
    EXPECT_THAT(std::string(map.status().message()), ::testing::StartsWith(c.error));
    EXPECT_THAT(std::string(map.status().message()), Not(HasSubstr("\n"))) << "one mistake only";
  }
}

TEST(UserMapFileTest, TellsAllMistakesInOrder) {
  const auto map = ParseUserMap("a\tx\nb\tmail1\nb\tmail2\nc\nd\tmail1\n", "m", {}, Targets());
  const std::vector<std::string> lines = absl::StrSplit(map.status().message(), '\n');
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("m:1:3: \"x\""));
  EXPECT_THAT(lines[1], HasSubstr("m:3:3: the user already has another target in line 2"));
  EXPECT_THAT(lines[2], HasSubstr("m:4:1: a user and"));
}

TEST(UserMapFileTest, StopsAfterTwentyMistakes) {
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "user", i, "\tnowhere\n");
  const auto map = ParseUserMap(text, "m", {}, Targets());
  const std::vector<std::string> lines = absl::StrSplit(map.status().message(), '\n');
  ASSERT_EQ(lines.size(), 21u);
  EXPECT_THAT(lines[19], HasSubstr("m:20:"));
  EXPECT_EQ(lines[20], "m: reading stopped after 20 mistakes");
}

TEST(UserMapFileTest, LongLinesAreOneMistakeEach) {
  // Within one buffer, and much larger than it.
  for (const size_t bytes : {kMapLineBytesMax + 1, size_t{3} << 20, (size_t{1} << 20)}) {
    const std::string text = absl::StrCat("a\tmail1\n", std::string(bytes, 'x'), "\nb\tx\n");
    const auto map = ParseUserMap(text, "m", {}, Targets());
    const std::vector<std::string> lines = absl::StrSplit(map.status().message(), '\n');
    ASSERT_EQ(lines.size(), 2u) << bytes;
    EXPECT_EQ(lines[0], "m:2:1: the line is longer than 4096 octets");
    EXPECT_THAT(lines[1], HasSubstr("m:3:3: \"x\""));
    const auto unended = ParseUserMap(std::string(bytes, 'x'), "m", {}, Targets());
    EXPECT_EQ(unended.status().message(), "m:1:1: the line is longer than 4096 octets");
  }
}

std::vector<std::pair<size_t, size_t>>& ProgressCalls() {
  static auto* const calls = new std::vector<std::pair<size_t, size_t>>();
  return *calls;
}

// Lines of all lengths fall on every border between two reads.
TEST(UserMapFileTest, ReadsLargeFilesInPieces) {
  std::string text;
  size_t users = 0;
  while (text.size() < (size_t{20} << 20)) {
    absl::StrAppend(&text, "user", users, "@", std::string(users % 200, 'd'), ".example\tmail",
                    users % 2 + 1, "\n");
    ++users;
  }
  const TemporaryFile file(text);
  ProgressCalls().clear();
  const auto map = LoadUserMap(file.path(), {}, Targets(),
                               [&file](const std::string& name, size_t done, size_t total) {
                                 EXPECT_EQ(name, file.path());
                                 ProgressCalls().emplace_back(done, total);
                               });
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ((*map)->size(), users);
  size_t wrong = 0;
  for (size_t i = 0; i < users; ++i) {
    const std::string user = absl::StrCat("user", i, "@", std::string(i % 200, 'd'), ".example");
    if (TargetOf(**map, user) != static_cast<int>(i % 2)) ++wrong;
  }
  EXPECT_EQ(wrong, 0u);
  ASSERT_EQ(ProgressCalls().size(), 2u);
  EXPECT_GE(ProgressCalls()[0].first, size_t{16} << 20);
  EXPECT_EQ(ProgressCalls()[0].second, text.size());
  EXPECT_EQ(ProgressCalls()[1], std::make_pair(text.size(), text.size()));
}

TEST(UserMapFileTest, ConflictsInFilesNameBothLines) {
  const TemporaryFile file("a\tmail1\nb\tmail1\nb\tmail2\n");
  const auto map = LoadUserMap(file.path(), {}, Targets());
  EXPECT_EQ(map.status().message(),
            file.path() +
                ":3:3: the user already has another target in line 2; keep one of the "
                "lines");
}

TEST(UserMapFileTest, UnreadableFilesSayWhy) {
  const auto missing = LoadUserMap("/nonexistent/users.map", {}, Targets());
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_EQ(missing.status().message(),
            "/nonexistent/users.map: cannot be opened: No such file or directory; check the path");
  const auto directory = LoadUserMap("/tmp", {}, Targets());
  EXPECT_EQ(directory.status().message(), "/tmp: is not a regular file");
  // A FIFO nobody writes to must not hold the reload.
  const TemporaryFile file("");
  const std::string fifo = file.path() + ".fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const auto from_fifo = LoadUserMap(fifo, {}, Targets());
  unlink(fifo.c_str());
  EXPECT_THAT(std::string(from_fifo.status().message()), EndsWith("is not a regular file"));
}

}  // namespace
}  // namespace postern::routing
