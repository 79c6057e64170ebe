#include "proxy/pop3/reply.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace postern::pop3 {
namespace {

constexpr absl::string_view kNoAnswer =
    "-ERR [SYS/TEMP] The mail server gave no usable answer, please try again later";

bool IsVisible(char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); }

// The response code at the front of `text`, without its brackets (RFC 2449 section 8).
absl::string_view FindCode(absl::string_view text) {
  if (text.empty() || text.front() != '[') return {};
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == ']') return text.substr(1, i - 1);
    if (text[i] == '[' || !IsVisible(text[i])) return {};
  }
  return {};
}

// The indicator must end where it ends: "+OKAY" is somebody else's protocol.
bool HasIndicator(absl::string_view line, absl::string_view indicator) {
  if (!absl::StartsWithIgnoreCase(line, indicator)) return false;
  return line.size() == indicator.size() ||
         !absl::ascii_isalnum(static_cast<unsigned char>(line[indicator.size()]));
}

// Length of the well-formed UTF-8 sequence (RFC 3629) at the front of `text` that stands for
// something printable, 0 when there is none. C1 controls (U+0080-U+009F) move terminals as much
// as ASCII ones do.
size_t PrintableBytes(absl::string_view text) {
  const auto at = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(text[i]); };
  const uint32_t first = at(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  size_t size = 0;
  uint32_t code_point = 0;
  uint32_t smallest = 0;
  if ((first & 0xE0) == 0xC0) {
    size = 2, code_point = first & 0x1F, smallest = 0xA0;
  } else if ((first & 0xF0) == 0xE0) {
    size = 3, code_point = first & 0x0F, smallest = 0x800;
  } else if ((first & 0xF8) == 0xF0) {
    size = 4, code_point = first & 0x07, smallest = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
    code_point = (code_point << 6) | (at(i) & 0x3F);
  }
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (code_point < smallest || code_point > 0x10FFFF || surrogate) return 0;
  return size;
}

}  // namespace

StatusLine ParseStatusLine(absl::string_view line) {
  StatusLine result;
  if (line.find('\0') != absl::string_view::npos) return result;
  size_t indicator = 0;
  if (HasIndicator(line, "+OK")) {
    result.status = Status::kOk;
    indicator = 3;
  } else if (HasIndicator(line, "-ERR")) {
    result.status = Status::kErr;
    indicator = 4;
  } else if (line == "+" || absl::StartsWith(line, "+ ")) {
    result.status = Status::kContinue;
    indicator = 1;
  } else {
    return result;
  }
  result.text = line.substr(indicator);
  if (!result.text.empty() && result.text.front() == ' ') {
    result.text.remove_prefix(1);
    if (result.status != Status::kContinue) result.code = FindCode(result.text);
  }
  return result;
}

bool TakeLine(absl::string_view input, absl::string_view* line, size_t* consumed) {
  const size_t end = input.find('\n');
  if (end == absl::string_view::npos) return false;
  *consumed = end + 1;
  *line = input.substr(0, end);
  if (!line->empty() && line->back() == '\r') line->remove_suffix(1);
  return true;
}

std::string CleanReply(absl::string_view line) {
  const StatusLine status = ParseStatusLine(line);
  std::string reply;
  if (status.status == Status::kOk) {
    reply = "+OK";
  } else if (status.status == Status::kErr) {
    reply = "-ERR";
  } else {
    return absl::StrCat(kNoAnswer, "\r\n");
  }
  if (!status.text.empty()) reply += ' ';
  absl::string_view rest = status.text;
  while (!rest.empty()) {
    const size_t size = PrintableBytes(rest);
    const absl::string_view piece = size == 0 ? absl::string_view("?") : rest.substr(0, size);
    if (reply.size() + piece.size() + 2 > kResponseBytesMax) break;
    absl::StrAppend(&reply, piece);
    rest.remove_prefix(size == 0 ? 1 : size);
  }
  reply += "\r\n";
  return reply;
}

absl::string_view FindApopChallenge(absl::string_view greeting_text) {
  size_t begin = absl::string_view::npos;
  bool at_sign = false;
  for (size_t i = 0; i < greeting_text.size(); ++i) {
    const char c = greeting_text[i];
    if (c == '<') {
      begin = i;
      at_sign = false;
    } else if (!IsVisible(c)) {
      begin = absl::string_view::npos;
    } else if (c == '@') {
      at_sign = true;
    } else if (c == '>' && begin != absl::string_view::npos) {
      if (at_sign) return greeting_text.substr(begin, i + 1 - begin);
      begin = absl::string_view::npos;
    }
  }
  return {};
}

}  // namespace postern::pop3
