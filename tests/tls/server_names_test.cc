#include "tls/server_names.h"

#include <string>

#include "gtest/gtest.h"

namespace postern::tls {
namespace {

TEST(ServerNamesTest, WhatIsAName) {
  for (const char* name : {"a", "pop.example.net", "x_y.example", "1-2.example", "192.0.2.1"}) {
    EXPECT_TRUE(IsServerName(name, false)) << name;
  }
  for (const char* name :
       {"", ".", "a.", ".a", "a..b", "a b", "a/b", "*.a", "*", "a.*", "\xc3\xa4"}) {
    EXPECT_FALSE(IsServerName(name, false)) << name;
  }
  EXPECT_TRUE(IsServerName("*.example.net", true));
  for (const char* name : {"*", "*.", "*.*.net", "a.*.net", "p*.example.net", "*example.net"}) {
    EXPECT_FALSE(IsServerName(name, true)) << name;
  }
  EXPECT_TRUE(IsServerName(std::string(255, 'a'), false));
  EXPECT_FALSE(IsServerName(std::string(256, 'a'), false));
  EXPECT_FALSE(IsServerName(std::string("a\0b", 3), false));
}

TEST(ServerNamesTest, Find) {
  ServerNames names;
  names.Add("Pop.Example.net", 1);
  names.Add("*.example.net", 2);
  names.Add("pop.example.net", 3);  // the first stays
  EXPECT_EQ(names.Find("pop.example.net", 9), 1u);
  EXPECT_EQ(names.Find("POP.EXAMPLE.NET.", 9), 1u);
  EXPECT_EQ(names.Find("imap.example.net", 9), 2u);
  EXPECT_EQ(names.Find("example.net", 9), 9u);
  EXPECT_EQ(names.Find("a.b.example.net", 9), 9u);
  EXPECT_EQ(names.Find("", 9), 9u);
  EXPECT_EQ(names.Find("*.example.net", 9), 9u);
  EXPECT_EQ(names.Find(std::string("pop.example.net\0", 16), 9), 9u);
  EXPECT_EQ(names.Find(std::string(100'000, 'a'), 9), 9u);
}

TEST(ServerNamesTest, Extension) {
  const auto body = [](absl::string_view text) { return std::string(text); };
  EXPECT_EQ(HostNameFromExtension(body({"\x00\x06\x00\x00\x03"
                                        "a.b",
                                        8})),
            "a.b");
  // Another type of name first.
  EXPECT_EQ(HostNameFromExtension(body({"\x00\x0b\x07\x00\x02"
                                        "xx"
                                        "\x00\x00\x03"
                                        "a.b",
                                        13})),
            "a.b");
  EXPECT_EQ(HostNameFromExtension(""), "");
  // Every truncation, and something behind the list.
  const std::string whole(
      {"\x00\x06\x00\x00\x03"
       "a.b",
       8});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(HostNameFromExtension(absl::string_view(whole).substr(0, size)), "") << size;
  }
  EXPECT_EQ(HostNameFromExtension(whole + "x"), "");
}

}  // namespace
}  // namespace postern::tls
