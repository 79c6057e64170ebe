#include "proxy/pop3/command.h"

#include <gtest/gtest.h>

namespace postern::pop3 {
namespace {

TEST(Command, VerbsInAnyCaseAndTheArgumentBehindOneSpace) {
  struct Case {
    absl::string_view line;
    Verb verb;
    absl::string_view argument;
  };
  const Case cases[] = {
      {"USER alice", Verb::kUser, "alice"},
      {"user alice", Verb::kUser, "alice"},
      {"uSeR  alice ", Verb::kUser, " alice "},
      {"USER", Verb::kUser, ""},
      {"USERalice", Verb::kUnknown, ""},
      {" USER alice", Verb::kUnknown, "USER alice"},
      {"PASS a b  c ", Verb::kPass, "a b  c "},
      {"APOP a 0", Verb::kApop, "a 0"},
      {"AUTH", Verb::kAuth, ""},
      {"CAPA", Verb::kCapa, ""},
      {"STLS", Verb::kStls, ""},
      {"NOOP", Verb::kNoop, ""},
      {"QUIT", Verb::kQuit, ""},
      {"stat", Verb::kTransaction, ""},
      {"LIST 1", Verb::kTransaction, "1"},
      {"RETR -1", Verb::kTransaction, "-1"},
      {"DELE 1", Verb::kTransaction, "1"},
      {"RSET", Verb::kTransaction, ""},
      {"TOP 1 99999999999999999999", Verb::kTransaction, "1 99999999999999999999"},
      {"UIDL", Verb::kTransaction, ""},
      {"", Verb::kUnknown, ""},
      {" ", Verb::kUnknown, ""},
      {"FOO:BAR", Verb::kUnknown, ""},
      {"XCLIENT ADDR=1.2.3.4", Verb::kXclient, "ADDR=1.2.3.4"},
      {"LANG *", Verb::kUnknown, "*"},
      {"UTF8", Verb::kUnknown, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.line));
    const Command command = ParseCommand(c.line);
    EXPECT_EQ(command.verb, c.verb);
    EXPECT_EQ(command.argument, c.argument);
  }
}

TEST(Command, ControlBytesAreFoundAndEightBitBytesAreNot) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = std::string("ab") + static_cast<char>(byte) + "c";
    EXPECT_EQ(HasControlBytes(text), byte < 0x20 || byte == 0x7F) << byte;
  }
  EXPECT_FALSE(HasControlBytes(""));
}

TEST(Command, HttpMethodsAreKnownAsSoonAsTheWordEnds) {
  EXPECT_TRUE(StartsWithHttpMethod("GET / HTTP/1.1", true));
  EXPECT_TRUE(StartsWithHttpMethod("GET ", false));
  EXPECT_FALSE(StartsWithHttpMethod("GET", false));
  EXPECT_TRUE(StartsWithHttpMethod("GET", true));
  EXPECT_TRUE(StartsWithHttpMethod("patch /x", true));
  EXPECT_FALSE(StartsWithHttpMethod("GETTING /", true));
  EXPECT_FALSE(StartsWithHttpMethod("USER GET", true));
  EXPECT_FALSE(StartsWithHttpMethod("", true));
  for (const char* method :
       {"POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"}) {
    EXPECT_TRUE(StartsWithHttpMethod(std::string(method) + " / HTTP/1.1", true)) << method;
  }
}

}  // namespace
}  // namespace postern::pop3
