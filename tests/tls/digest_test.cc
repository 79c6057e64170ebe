#include "tls/digest.h"

#include "gtest/gtest.h"

namespace postern::tls {
namespace {

TEST(DigestTest, TheExampleOfRfc1939) {
  const auto digest = Md5Hex("<1896.697170952@dbc.mtview.ca.us>", "tanstaaf");
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, "c4c9334bac560ecc979e58001b3e22fb");
}

TEST(DigestTest, Empty) {
  const auto digest = Md5Hex("", "");
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, "d41d8cd98f00b204e9800998ecf8427e");
}

}  // namespace
}  // namespace postern::tls
