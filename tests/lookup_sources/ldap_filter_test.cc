#include <string>

#include "gtest/gtest.h"
#include "routing/lookup/ldap_source.h"

namespace postern::routing {
namespace {

// RFC 4515 section 4 has some of them.
TEST(EscapeFilterValueTest, WhatMayMeanSomethingIsHexadecimal) {
  EXPECT_EQ(EscapeFilterValue("alice@example.org"), "alice@example.org");
  EXPECT_EQ(EscapeFilterValue("*)(uid=*"), "\\2a\\29\\28uid=\\2a");
  EXPECT_EQ(EscapeFilterValue("C:\\MyFile"), "C:\\5cMyFile");
  EXPECT_EQ(EscapeFilterValue("Lu\xc4\x8di\xc4\x87"), "Lu\\c4\\8di\\c4\\87");
  EXPECT_EQ(EscapeFilterValue(std::string("a\0b\n\x7f", 5)), "a\\00b\\0a\\7f");
  EXPECT_EQ(EscapeFilterValue(""), "");
}

}  // namespace
}  // namespace postern::routing
