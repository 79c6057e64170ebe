// Whole sessions, however they are cut: one segment, every two-way split, byte by byte.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/pop3/login_dialogue.h"
#include "tests/pop3/dialogue_transcript.h"

namespace postern::pop3 {
namespace {

using std::string_literals::operator""s;

const std::vector<std::string>& Sessions() {
  static const auto& sessions = *new std::vector<std::string>{
      "CAPA\r\nUSER alice\r\nPASS a b \r\nNOOP\r\nQUIT\r\n",
      "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\nUSER a\nPASS b\nAUTH LOGIN\r\nYQ==\r\nYg==\r\n",
      "AUTH PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\nAUTH LOGIN YQ==\r\n*\r\nAUTH\r\n\r\nUSER\r\n",
      "APOP alice 0123456789ABCDEF0123456789abcdef\r\nFOO\r\nSTLS\r\nRETR 1\r\nCA\rPA\r\nQUIT\r\n",
      "AUTH LOGIN\r\nHEAD\r\nPOST\r\nNOOP\r\nHEAD\r\n",
      "NOOP\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "NOOP\r\n\x16\x03\x01\r\n",
      "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n11\r\n",
      "USER " + std::string(520, 'a') + "\r\n",
      "AUTH PLAIN " + std::string(520, 'a') + "\r\nNOOP\r\nQUIT\r\n",
      "USER al\0ice\r\nPASS p\0\r\nUSER b\r\nPASS c\r\nQUIT\r\nNOOP\r\n"s,
  };
  return sessions;
}

class Splits : public testing::TestWithParam<size_t> {};

TEST_P(Splits, OneSegmentEveryTwoWaySplitAndByteByByteDecideTheSame) {
  const std::string& session = Sessions()[GetParam()];
  DialogueOptions options;
  options.apop = true;
  options.plaintext_logins = true;
  for (const bool tls_active : {false, true}) {
    const std::vector<std::string> whole = Decisions(options, tls_active, {session});
    ASSERT_FALSE(whole.empty());
    const absl::string_view text = session;
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      ASSERT_EQ(Decisions(options, tls_active, {text.substr(0, cut), text.substr(cut)}), whole)
          << cut;
    }
    std::vector<absl::string_view> bytes;
    for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
    EXPECT_EQ(Decisions(options, tls_active, bytes), whole);
  }
}

INSTANTIATE_TEST_SUITE_P(Sessions, Splits, testing::Range<size_t>(0, Sessions().size()));

}  // namespace
}  // namespace postern::pop3
