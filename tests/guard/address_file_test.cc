#include "proxy/guard/address_file.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace postern::guard {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

SocketAddress Ip(const std::string& text) { return SocketAddress::FromIp(text, 1).value(); }

TEST(AddressFile, CommentsBlanksAndLineEnds) {
  AddressSet set;
  ASSERT_TRUE(
      ParseAddressList("# all\r\n\n  192.0.2.0/24  # office\r\n\t2001:db8::/32\n198.51.100.7",
                       "list", &set)
          .ok());
  set.Finish();
  EXPECT_EQ(set.size(), 3u);
  EXPECT_TRUE(set.Contains(Ip("192.0.2.9")));
  EXPECT_TRUE(set.Contains(Ip("2001:db8::9")));
  EXPECT_TRUE(set.Contains(Ip("198.51.100.7")));
}

TEST(AddressFile, NothingIsAList) {
  for (const char* text : {"", "\n", "# nothing", " "}) {
    AddressSet set;
    EXPECT_TRUE(ParseAddressList(text, "list", &set).ok());
  }
}

TEST(AddressFile, EveryMistakeWithItsPlace) {
  AddressSet set;
  const absl::Status status =
      ParseAddressList("10.0.0.0/8\n  10.0.0.1/8\nmail.example.org\n\x1b[2J\n", "dir/deny", &set);
  const std::string message(status.message());
  EXPECT_THAT(message, StartsWith("dir/deny:2:3: \"10.0.0.1/8\" has bits behind its prefix of 8: "
                                  "the network is \"10.0.0.0/8\"; write networks as "));
  EXPECT_THAT(message, HasSubstr("\ndir/deny:3:1: "));
  EXPECT_THAT(message, HasSubstr("\ndir/deny:4:1: \"\\x1b[2J\" is no network; "));
}

TEST(AddressFile, StopsAfterManyMistakes) {
  std::string text;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, "x", i, "\n");
  AddressSet set;
  const std::string message(ParseAddressList(text, "f", &set).message());
  EXPECT_THAT(message, HasSubstr("\nf:20:1: "));
  EXPECT_THAT(message, ::testing::EndsWith("\nf: reading stopped after 20 mistakes"));
}

TEST(AddressFile, ReadsFilesAndSaysWhyItCannot) {
  char path[] = "/tmp/postern_list_XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  std::ofstream(path) << "192.0.2.1\n";
  AddressSet set;
  EXPECT_TRUE(LoadAddressFile(path, &set).ok());
  std::ofstream(path) << "nonsense\n";
  EXPECT_THAT(std::string(LoadAddressFile(path, &set).message()),
              StartsWith(absl::StrCat(path, ":1:1: ")));
  std::remove(path);
  EXPECT_THAT(std::string(LoadAddressFile(path, &set).message()), HasSubstr("cannot be opened"));
  EXPECT_THAT(std::string(LoadAddressFile("/", &set).message()), HasSubstr("not a regular file"));
  set.Finish();
  EXPECT_TRUE(set.Contains(Ip("192.0.2.1")));
}

}  // namespace
}  // namespace postern::guard
