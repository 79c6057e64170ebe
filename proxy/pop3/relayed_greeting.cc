#include "proxy/pop3/relayed_greeting.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/pop3/reply.h"

namespace postern::pop3 {
namespace {

bool AllOf(absl::string_view text, absl::string_view others) {
  return std::all_of(text.begin(), text.end(), [others](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           others.find(c) != absl::string_view::npos;
  });
}

// `text` stands between the brackets.
bool IsMessageId(absl::string_view text) {
  const size_t at = text.find('@');
  if (at == absl::string_view::npos || at == 0 || at + 1 == text.size()) return false;
  return AllOf(text.substr(0, at), "!#$%&'*+-/=?^_`{|}~.") && AllOf(text.substr(at + 1), "-._:[]");
}

// The only pair of brackets with what is in it; empty when there are none, or more.
absl::string_view OnlyBrackets(absl::string_view line) {
  const auto count = [line](char c) { return std::count(line.begin(), line.end(), c); };
  if (count('<') != 1 || count('>') != 1) return {};
  const size_t begin = line.find('<');
  const size_t end = line.find('>');
  return begin < end ? line.substr(begin, end + 1 - begin) : absl::string_view();
}

std::string Printable(absl::string_view text) {
  std::string printable;
  for (const char c : text) {
    if (c == '<' || c == '>') continue;
    printable += c >= ' ' && c < 0x7F ? c : '?';
  }
  return std::string(absl::StripAsciiWhitespace(printable));
}

}  // namespace

RelayedGreeting ReadRelayedGreeting(absl::string_view line) {
  RelayedGreeting greeting;
  const StatusLine status = ParseStatusLine(line);
  if (status.status != Status::kOk) return greeting;
  absl::string_view text = status.text;
  // What a server says to a proxy ("[XCLIENT]") is not for the proxy's clients.
  if (absl::StartsWith(text, "[") && text.find(']') != absl::string_view::npos) {
    text.remove_prefix(text.find(']') + 1);
  }
  const absl::string_view brackets = OnlyBrackets(status.text);
  if (brackets.size() > 2 && brackets.size() <= kRelayedChallengeBytesMax &&
      IsMessageId(brackets.substr(1, brackets.size() - 2))) {
    greeting.challenge = std::string(brackets);
  }
  // Words behind a challenge are said in front of it, and a bad one is not said at all.
  const size_t begin = brackets.empty() ? absl::string_view::npos : text.find(brackets);
  if (begin == absl::string_view::npos) {
    greeting.text = Printable(text);
  } else {
    const std::string before = Printable(text.substr(0, begin));
    const std::string behind = Printable(text.substr(begin + brackets.size()));
    greeting.text = absl::StrCat(before, before.empty() || behind.empty() ? "" : " ", behind);
  }
  return greeting;
}

std::string WriteRelayedGreeting(absl::string_view front, absl::string_view text,
                                 absl::string_view challenge) {
  constexpr absl::string_view kOk = "+OK ";
  constexpr absl::string_view kEnd = "\r\n";
  const size_t fixed =
      kOk.size() + front.size() + kEnd.size() + (challenge.empty() ? 0 : challenge.size() + 1);
  CHECK(fixed <= kResponseBytesMax);
  text = absl::StripTrailingAsciiWhitespace(text.substr(0, kResponseBytesMax - fixed));
  return absl::StrCat(kOk, front, text, challenge.empty() || text.empty() ? "" : " ", challenge,
                      kEnd);
}

}  // namespace postern::pop3
