#include "proxy/pop3/reply.h"

#include <gtest/gtest.h>

namespace postern::pop3 {
namespace {

using std::string_literals::operator""s;

constexpr char kOwnWords[] =
    "-ERR [SYS/TEMP] The mail server gave no usable answer, please try again later\r\n";

TEST(StatusLine, Forms) {
  struct Case {
    std::string line;
    Status status;
    std::string code;
    std::string text;
  };
  const Case cases[] = {
      {"+OK", Status::kOk, "", ""},
      {"+ok ready", Status::kOk, "", "ready"},
      {"+OK ", Status::kOk, "", ""},
      {"+OK  two", Status::kOk, "", " two"},
      {"+OK, fine", Status::kOk, "", ", fine"},
      {"+OKAY", Status::kInvalid, "", ""},
      {"-ERR", Status::kErr, "", ""},
      {"-err no", Status::kErr, "", "no"},
      {"-ERROR", Status::kInvalid, "", ""},
      {"-ERR [SYS/TEMP] try later", Status::kErr, "SYS/TEMP", "[SYS/TEMP] try later"},
      {"-ERR [IN-USE]", Status::kErr, "IN-USE", "[IN-USE]"},
      {"-ERR[AUTH] no", Status::kErr, "", "[AUTH] no"},
      {"-ERR [AUTH no", Status::kErr, "", "[AUTH no"},
      {"-ERR [A B] no", Status::kErr, "", "[A B] no"},
      {"-ERR [[A]] no", Status::kErr, "", "[[A]] no"},
      {"-ERR [] no", Status::kErr, "", "[] no"},
      {"-ERR no [AUTH]", Status::kErr, "", "no [AUTH]"},
      {"+OK [XCLIENT] Dovecot ready.", Status::kOk, "XCLIENT", "[XCLIENT] Dovecot ready."},
      {"+", Status::kContinue, "", ""},
      {"+ ", Status::kContinue, "", ""},
      {"+ VXNlcm5hbWU6", Status::kContinue, "", "VXNlcm5hbWU6"},
      {"+VXNl", Status::kInvalid, "", ""},
      {"", Status::kInvalid, "", ""},
      {" +OK", Status::kInvalid, "", ""},
      {"HTTP/1.1 200 OK", Status::kInvalid, "", ""},
      {"* OK IMAP4rev1", Status::kInvalid, "", ""},
      {"220 smtp", Status::kInvalid, "", ""},
      {"+OK a\0b"s, Status::kInvalid, "", ""},
      {"-ERR\0"s, Status::kInvalid, "", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.line);
    const StatusLine parsed = ParseStatusLine(c.line);
    EXPECT_EQ(parsed.status, c.status);
    EXPECT_EQ(parsed.code, c.code);
    EXPECT_EQ(parsed.text, c.text);
  }
}

TEST(TakeLine, EndsInCrlfOrLfAndKeepsABareCr) {
  struct Case {
    absl::string_view input;
    bool whole;
    absl::string_view line;
    size_t consumed;
  };
  const Case cases[] = {
      {"", false, "", 0},        {"+OK", false, "", 0},
      {"+OK\r", false, "", 0},   {"+OK\r\n", true, "+OK", 5},
      {"+OK\n", true, "+OK", 4}, {"\n", true, "", 1},
      {"\r\n", true, "", 2},     {"a\rb\r\r\nc", true, "a\rb\r", 6},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.input));
    absl::string_view line;
    size_t consumed = 0;
    EXPECT_EQ(TakeLine(c.input, &line, &consumed), c.whole);
    EXPECT_EQ(line, c.line);
    EXPECT_EQ(consumed, c.consumed);
  }
}

TEST(CleanReply, MakesALineFitForAClient) {
  struct Case {
    const char* behaviour;
    std::string line;
    std::string clean;
  };
  const Case cases[] = {
      {"as it is", "-ERR [IN-USE] locked", "-ERR [IN-USE] locked\r\n"},
      {"no text", "+OK", "+OK\r\n"},
      {"indicator in our case", "+ok Fine", "+OK Fine\r\n"},
      {"no space before the text", "-ERR[AUTH] no", "-ERR [AUTH] no\r\n"},
      {"controls", "-ERR a\tb\x1B[31mc\x7F", "-ERR a?b?[31mc?\r\n"},
      {"embedded CR", "-ERR a\r+OK b", "-ERR a?+OK b\r\n"},
      {"embedded CRLF", "-ERR a\r\n+OK b", "-ERR a??+OK b\r\n"},
      {"valid UTF-8",
       "-ERR Postf\xC3\xA4"
       "cher \xE2\x82\xAC \xF0\x9F\x93\xA7",
       "-ERR Postf\xC3\xA4"
       "cher \xE2\x82\xAC \xF0\x9F\x93\xA7\r\n"},
      {"Latin-1",
       "-ERR Postf\xE4"
       "cher",
       "-ERR Postf?cher\r\n"},
      {"overlong slash", "-ERR \xC0\xAF", "-ERR ??\r\n"},
      {"overlong euro", "-ERR \xF0\x82\x82\xAC", "-ERR ????\r\n"},
      {"surrogate", "-ERR \xED\xA0\x80", "-ERR ???\r\n"},
      {"beyond Unicode", "-ERR \xF4\x90\x80\x80", "-ERR ????\r\n"},
      {"cut sequence", "-ERR \xE2\x82", "-ERR ??\r\n"},
      {"C1 control", "-ERR \xC2\x9B", "-ERR ??\r\n"},
      {"no-break space", "-ERR \xC2\xA0", "-ERR \xC2\xA0\r\n"},
      {"NUL", "-ERR a\0b"s, kOwnWords},
      {"empty", "", kOwnWords},
      {"another protocol", "HTTP/1.1 400 Bad Request", kOwnWords},
      {"continuation", "+ abc", kOwnWords},
      {"almost", "+OKAY", kOwnWords},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.behaviour);
    EXPECT_EQ(CleanReply(c.line), c.clean);
  }
}

TEST(CleanReply, AtMost512OctetsAndNoHalfCharacter) {
  const std::string ascii = CleanReply("+OK " + std::string(100000, 'x'));
  EXPECT_EQ(ascii, "+OK " + std::string(506, 'x') + "\r\n");
  EXPECT_EQ(CleanReply("+OK " + std::string(506, 'x')), ascii);

  std::string euros = "-ERR ";
  for (int i = 0; i < 1000; ++i) euros += "\xE2\x82\xAC";
  const std::string clean = CleanReply(euros);
  EXPECT_LE(clean.size(), kResponseBytesMax);
  EXPECT_GT(clean.size(), kResponseBytesMax - 3);
  EXPECT_EQ((clean.size() - 5 - 2) % 3, 0u);
}

TEST(FindApopChallenge, Forms) {
  struct Case {
    absl::string_view text;
    absl::string_view challenge;
  };
  const Case cases[] = {
      {"ready <1.2@host>", "<1.2@host>"},
      {"<1.2@host> ready", "<1.2@host>"},
      {"Dovecot ready. <1e01.1.6b03d4ae.eO3X==@vm>", "<1e01.1.6b03d4ae.eO3X==@vm>"},
      {"ready", ""},
      {"", ""},
      {"a < b > c", ""},
      {"<no at>", ""},
      {"<noat>", ""},
      {"<x@y", ""},
      {"x@y>", ""},
      {"<a <1@h>", "<1@h>"},
      {"<a> <1@h>", "<1@h>"},
      {"<1 @h>", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.text));
    EXPECT_EQ(FindApopChallenge(c.text), c.challenge);
  }
}

}  // namespace
}  // namespace postern::pop3
