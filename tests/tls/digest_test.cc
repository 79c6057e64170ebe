#include "tls/digest.h"

#include <array>
#include <string>

#include "absl/strings/escaping.h"
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

TEST(DigestTest, Sha256IsOfThePartsInARow) {
  const auto hex = [](const std::array<char, 32>& digest) {
    return absl::BytesToHexString(absl::string_view(digest.data(), digest.size()));
  };
  // FIPS 180-2 appendix B.1 and B.2.
  EXPECT_EQ(hex(Sha256({"abc"})),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(Sha256({"abcdbcdecdefdefgefghfghighijhijk", "", "ijkljklmklmnlmnomnopnopq"})),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  // Python: hashlib.sha256(b"nonce" + b"user@example.test" + b"\0" + b"secret").hexdigest()
  EXPECT_EQ(hex(Sha256({"nonce", "user@example.test", absl::string_view("\0", 1), "secret"})),
            "2a8a11c5d032942d80d8e490202a161221074f3d7e139c0725d74e2f109b0359");
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
