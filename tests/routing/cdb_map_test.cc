#include "routing/cdb_map.h"

#ifdef POSTERN_CDB

#include <cdb.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "routing/router.h"

namespace postern::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using Records = std::vector<std::pair<std::string, std::string>>;

std::shared_ptr<const TargetNames> Targets() {
  return std::make_shared<const TargetNames>(
      TargetNames{{"mail1", 0}, {"mail2", 1}, {"both", kAmbiguousTarget}});
}

// A database in a file of its own.
class TemporaryCdb {
 public:
  explicit TemporaryCdb(const Records& records) {
    char path[] = "/tmp/postern_cdb_XXXXXX";
    const int fd = mkstemp(path);
    EXPECT_GE(fd, 0);
    path_ = path;
    struct cdb_make make;
    EXPECT_EQ(cdb_make_start(&make, fd), 0);
    for (const auto& [key, value] : records) {
      EXPECT_EQ(cdb_make_add(&make, key.data(), static_cast<unsigned>(key.size()), value.data(),
                             static_cast<unsigned>(value.size())),
                0);
    }
    EXPECT_EQ(cdb_make_finish(&make), 0);
    close(fd);
  }
  ~TemporaryCdb() { unlink(path_.c_str()); }
  TemporaryCdb(const TemporaryCdb&) = delete;
  TemporaryCdb& operator=(const TemporaryCdb&) = delete;
  const std::string& path() const { return path_; }

  std::string Read() const {
    std::ostringstream content;
    content << std::ifstream(path_, std::ios::binary).rdbuf();
    return content.str();
  }
  // In place, as a careless administrator does it.
  void Overwrite(const std::string& content) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }

 private:
  std::string path_;
};

std::string ErrorOf(const std::string& path, const UserOptions& options = {}) {
  const auto map = CdbMap::Load(path, options, Targets());
  return map.ok() ? "none" : std::string(map.status().message());
}

int TargetOf(const CdbMap& map, absl::string_view user) {
  const auto hit = map.Find(user);
  return hit.has_value() ? static_cast<int>(hit->target) : -1;
}

TEST(CdbMapTest, TheUserFirstThenItsDomain) {
  const TemporaryCdb file(Records{{"alice@example.org", "mail1"}, {"*@example.org", "mail2"}});
  const auto map = CdbMap::Load(file.path(), {}, Targets());
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ((*map)->size(), 2u);
  EXPECT_GE((*map)->memory_bytes(), 2048u);
  EXPECT_EQ(TargetOf(**map, "alice@example.org"), 0);
  EXPECT_FALSE((*map)->Find("alice@example.org")->by_domain);
  EXPECT_EQ(TargetOf(**map, "bob@example.org"), 1);
  EXPECT_TRUE((*map)->Find("bob@example.org")->by_domain);
  EXPECT_EQ(TargetOf(**map, "bob@example.net"), -1);
  EXPECT_EQ(TargetOf(**map, "alice"), -1);
  EXPECT_EQ(TargetOf(**map, "bob@" + std::string(1000, 'x')), -1);
}

TEST(CdbMapTest, ManyUsersAreAllFound) {
  Records records;
  for (int i = 0; i < 20000; ++i) {
    records.emplace_back(absl::StrCat("user", i, "@example.org"), i % 3 == 0 ? "mail1" : "mail2");
  }
  const TemporaryCdb file(records);
  const auto map = CdbMap::Load(file.path(), {}, Targets());
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ((*map)->size(), records.size());
  for (int i = 0; i < 20000; ++i) {
    ASSERT_EQ(TargetOf(**map, records[static_cast<size_t>(i)].first), i % 3 == 0 ? 0 : 1);
  }
  EXPECT_EQ(TargetOf(**map, "user20000@example.org"), -1);
}

TEST(CdbMapTest, WhatHappensToTheFileLaterDoesNotMatter) {
  const TemporaryCdb file(Records{{"alice", "mail1"}});
  const auto map = CdbMap::Load(file.path(), {}, Targets());
  ASSERT_TRUE(map.ok()) << map.status();
  file.Overwrite("");
  EXPECT_EQ(TargetOf(**map, "alice"), 0);
}

TEST(CdbMapTest, RecordsThatLeadNowhere) {
  const struct {
    Records records;
    std::string mistake;
  } cases[] = {
      {{{"alice", "mail9"}}, "key \"alice\": \"mail9\" is neither a backend nor a pool"},
      {{{"alice", ""}}, "key \"alice\": \"\" is neither"},
      {{{"alice", "both"}}, "key \"alice\": \"both\" is the name of a backend and of a pool"},
      {{{"a", "mail1"}, {"a", "mail2"}}, "key \"a\": already has another target"},
      {{{"a@Example.org", "mail1"}},
       "key \"a@Example.org\": would never be found, because [users]"},
      {{{"*@Example.org", "mail1"}}, "key \"*@Example.org\": would never be found"},
      {{{"*", "mail1"}}, "key \"*\": is not a user"},
      {{{"*@", "mail1"}}, "key \"*@\": behind \"*@\" stands exactly one domain"},
      {{{std::string("a\0", 2), "mail1"}}, "key \"a\\x00\": the user name contains control bytes"},
  };
  for (const auto& c : cases) {
    const TemporaryCdb file(c.records);
    EXPECT_THAT(ErrorOf(file.path()), StartsWith(file.path() + ": " + c.mistake));
  }
  Records many;
  for (int i = 0; i < 100; ++i) many.emplace_back(absl::StrCat("u", i), "nowhere");
  const TemporaryCdb file(many);
  const std::vector<std::string> lines = absl::StrSplit(ErrorOf(file.path()), '\n');
  EXPECT_EQ(lines.size(), 20u);
  // The same record twice does no harm.
  EXPECT_EQ(ErrorOf(TemporaryCdb(Records{{"a", "mail1"}, {"a", "mail1"}}).path()), "none");
}

TEST(CdbMapTest, FilesThatAreNone) {
  EXPECT_THAT(ErrorOf("/nonexistent/users.cdb"), HasSubstr("cannot be opened"));
  EXPECT_THAT(ErrorOf("/tmp"), HasSubstr("is not a regular file"));
  const TemporaryCdb file(Records{{"alice", "mail1"}, {"bob", "mail2"}});
  const std::string good = file.Read();
  file.Overwrite("");
  EXPECT_THAT(ErrorOf(file.path()), HasSubstr("is no CDB, or empty"));
  file.Overwrite("alice\tmail1\n");
  EXPECT_THAT(ErrorOf(file.path()), HasSubstr("is no CDB, or empty"));
  // Cut short, as by a full disk.
  for (size_t size = 2048; size < good.size(); ++size) {
    file.Overwrite(good.substr(0, size));
    EXPECT_NE(ErrorOf(file.path()), "none") << size;
  }
}

// Whichever byte is wrong: an error, or a database whose answers are targets. Never a crash.
TEST(CdbMapTest, EveryDamagedByteIsSurvived) {
  const TemporaryCdb file(Records{{"alice@example.org", "mail1"}, {"*@example.org", "mail2"}});
  const std::string good = file.Read();
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); i += i < 2000 ? 40 : 1) {
    for (const char change : {'\x01', '\x80', '\xff'}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      file.Overwrite(bad);
      const auto map = CdbMap::Load(file.path(), {}, Targets());
      if (!map.ok()) {
        ++refused;
        continue;
      }
      for (const char* user : {"alice@example.org", "bob@example.org", "x"}) {
        const int target = TargetOf(**map, user);
        EXPECT_TRUE(target >= -1 && target <= 1);
      }
    }
  }
  EXPECT_GT(refused, 100u);
}

// Through the router: order, explanation, numbers.
TEST(CdbMapTest, IsARouteAmongOthers) {
  const TemporaryCdb file(Records{{"carol@example.org", "mail2"}, {"*@mapped.example", "mail1"}});
  RouterOptions options;
  options.backends = {{"mail1", 100}, {"mail2", 100}};
  options.routes.resize(4);
  options.routes[0].users = "first@mapped.example";
  options.routes[0].backend = "mail2";
  options.routes[1].cdb_file = file.path();
  options.routes[1].line = 7;
  options.routes[2].regex = "u(.*)@.*";
  options.routes[2].target = "mail\\1";
  options.routes[2].line = 9;
  options.routes[3].cdb_file = file.path();
  const auto router = Router::Create(options);
  ASSERT_TRUE(router.ok()) << router.status();
  EXPECT_EQ((*router)->mapped_users(), 2u);
  EXPECT_EQ((*router)->Route("first@mapped.example").route, 0);
  EXPECT_EQ((*router)->Route("second@mapped.example").route, 1);
  EXPECT_EQ((*router)->Route("carol@example.org").candidates[0], 1);
  EXPECT_EQ((*router)->Route("u2@x").route, 2);
  EXPECT_EQ((*router)->Route("u2@x").candidates[0], 1);
  EXPECT_FALSE((*router)->Route("u3@x").known);
  EXPECT_THAT((*router)->Explain("x@mapped.example"),
              HasSubstr(absl::StrCat("route 2    cdb ", file.path(),
                                     " (2 users) (line 7): not in it itself, but "
                                     "\"*@mapped.example\" is -> backend \"mail1\"\n")));
  const std::string miss = (*router)->Explain("u3@x");
  EXPECT_THAT(miss, HasSubstr(absl::StrCat("route 2    cdb ", file.path(),
                                           " (2 users) (line 7): not in it\n")));
  EXPECT_THAT(miss, HasSubstr("route 3    regex \"u(.*)@.*\" (line 9): matches, but no backend and "
                              "no pool is named \"mail3\"\n"));
}

}  // namespace
}  // namespace postern::routing

#endif  // POSTERN_CDB
