#include "proxy/pop3/sasl.h"

#include <gtest/gtest.h>

namespace postern::pop3 {
namespace {

using std::string_literals::operator""s;

TEST(Base64, StrictAboutEveryForm) {
  struct Case {
    std::string text;
    bool valid;
    std::string value;
  };
  const Case cases[] = {
      {"", true, ""},
      {"Zg==", true, "f"},
      {"Zm8=", true, "fo"},
      {"Zm9v", true, "foo"},
      {"Zm9vYg==", true, "foob"},
      {"Zm9vYmE=", true, "fooba"},
      {"Zm9vYmFy", true, "foobar"},
      {"////", true, "\xFF\xFF\xFF"},
      {"++++", true, "\xFB\xEF\xBE"},
      {"AAAA", true, "\0\0\0"s},
      {"!!!!", false, ""},
      {"Z", false, ""},
      {"Zg", false, ""},
      {"Zg=", false, ""},
      {"Zg===", false, ""},
      {"Zm8", false, ""},
      {"=", false, ""},
      {"==", false, ""},
      {"====", false, ""},
      {"Z===", false, ""},
      {"=AAA", false, ""},
      {"Zg==Zg==", false, ""},
      {"Zg=v", false, ""},
      {"Zm9v ", false, ""},
      {" Zm9v", false, ""},
      {"Zm 9v", false, ""},
      {"Zm9v\r\n", false, ""},
      {"Zm9v\n", false, ""},
      {"Zm\0v"s, false, ""},
      {"Zh==", false, ""},  // bits left over
      {"Zm9=", false, ""},
      {"__--", false, ""},  // the other alphabet
      {"Z\xC3\xA9v", false, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const absl::StatusOr<Secret> decoded = DecodeBase64(c.text);
    ASSERT_EQ(decoded.ok(), c.valid);
    if (c.valid) {
      EXPECT_EQ(decoded->view(), c.value);
      EXPECT_EQ(EncodeBase64(c.value), c.text);
    }
  }
}

TEST(Base64, TheErrorNeverShowsTheText) {
  const absl::StatusOr<Secret> decoded = DecodeBase64("hunter2!");
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.status().ToString().find("hunter2"), std::string::npos);
}

TEST(Base64, AllBytesAndLengthsComeBack) {
  std::string bytes;
  for (int i = 0; i < 600; ++i) {
    const absl::StatusOr<Secret> decoded = DecodeBase64(EncodeBase64(bytes));
    ASSERT_TRUE(decoded.ok()) << i;
    ASSERT_EQ(decoded->view(), bytes);
    bytes += static_cast<char>(i * 7);
  }
}

TEST(Plain, Messages) {
  struct Case {
    const char* behaviour;
    std::string message;
    bool valid;
    std::string authorization_id;
    std::string user;
    std::string password;
  };
  const Case cases[] = {
      {"usual", "\0alice\0secret"s, true, "", "alice", "secret"},
      {"authzid", "alice\0alice\0secret"s, true, "alice", "alice", "secret"},
      {"foreign authzid is parsed", "bob\0alice\0secret"s, true, "bob", "alice", "secret"},
      {"spaces", "\0a b\0 c  d "s, true, "", "a b", " c  d "},
      {"eight bit", "\0\xFF\0\xFE"s, true, "", "\xFF", "\xFE"},
      {"empty", "", false, "", "", ""},
      {"one NUL", "\0"s, false, "", "", ""},
      {"two NULs", "\0\0"s, false, "", "", ""},
      {"no second NUL", "\0alice"s, false, "", "", ""},
      {"no NUL", "alice", false, "", "", ""},
      {"empty user", "\0\0secret"s, false, "", "", ""},
      {"empty password", "\0alice\0"s, false, "", "", ""},
      {"fourth field", "\0alice\0secret\0x"s, false, "", "", ""},
      {"trailing NUL", "\0alice\0secret\0"s, false, "", "", ""},
      {"TAB in user", "\0al\tice\0secret"s, false, "", "", ""},
      {"CR in password", "\0alice\0sec\rret"s, false, "", "", ""},
      {"LF in authzid", "x\n\0alice\0secret"s, false, "", "", ""},
      {"DEL in password", "\0alice\0sec\x7Fret"s, false, "", "", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.behaviour);
    const absl::StatusOr<PlainMessage> message = ParsePlain(c.message);
    ASSERT_EQ(message.ok(), c.valid);
    if (!c.valid) continue;
    EXPECT_EQ(message->authorization_id, c.authorization_id);
    EXPECT_EQ(message->user, c.user);
    EXPECT_EQ(message->password.view(), c.password);
  }
}

TEST(Plain, EncodingIsUndoneByDecoding) {
  EXPECT_EQ(EncodePlain("", "alice", "secret").view(), EncodeBase64("\0alice\0secret"s));
  for (const std::string password : {"x", "xy", "xyz", " trailing ", "\xFF\xFE\xFD\xFC"}) {
    const Secret encoded = EncodePlain("user", "master", password);
    const absl::StatusOr<Secret> decoded = DecodeBase64(encoded.view());
    ASSERT_TRUE(decoded.ok());
    const absl::StatusOr<PlainMessage> message = ParsePlain(decoded->view());
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message->authorization_id, "user");
    EXPECT_EQ(message->user, "master");
    EXPECT_EQ(message->password.view(), password);
  }
}

}  // namespace
}  // namespace postern::pop3
