#include "tls/digest.h"

#include <string>

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

TEST(DigestTest, HmacExamplesOfRfc2195AndRfc2202) {
  EXPECT_EQ(*HmacMd5Hex("tanstaaftanstaaf", "<1896.697170952@postoffice.reston.mci.net>"),
            "b913a602c7eda7a495b4e6e7334d3890");
  EXPECT_EQ(*HmacMd5Hex("Jefe", "what do ya want for nothing?"),
            "750c783e6ab0b503eaa86e310a5db738");
  EXPECT_EQ(*HmacMd5Hex(std::string(80, '\xaa'),
                        "Test Using Larger Than Block-Size Key - Hash Key First"),
            "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
}

TEST(RandomKeyedDigestTest, TellsMessagesAndKeysApart) {
  const RandomKeyedDigest one;
  const RandomKeyedDigest other;
  EXPECT_EQ(one.Digest("message"), one.Digest("message"));
  EXPECT_NE(one.Digest("message"), one.Digest("messagf"));
  EXPECT_NE(one.Digest(""), one.Digest(absl::string_view("\0", 1)));
  EXPECT_NE(one.Digest("message"), other.Digest("message"));
}

}  // namespace
}  // namespace postern::tls
