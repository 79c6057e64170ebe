#include "proxy/base/escape.h"

#include <cstdint>

namespace postern {
namespace {

// The length of the valid UTF-8 sequence at the front of `text`, or 0. Follows Unicode table 3-7:
// no overlong forms, no surrogates, nothing above U+10FFFF.
size_t Utf8Length(absl::string_view text, uint32_t* code_point) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  size_t length = 0;
  uint32_t value = 0;
  uint32_t least = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2, value = lead & 0x1Fu, least = 0x80;
  } else if ((lead & 0xF0) == 0xE0) {
    length = 3, value = lead & 0x0Fu, least = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4, value = lead & 0x07u, least = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
  *code_point = value;
  return length;
}

// C1 controls, line separators, and the controls behind "Trojan Source": they change how a
// terminal shows what stands around them.
bool Misleading(uint32_t code_point) {
  return (code_point >= 0x80 && code_point <= 0x9F) ||
         (code_point >= 0x200B && code_point <= 0x200F) ||
         (code_point >= 0x2028 && code_point <= 0x202E) ||
         (code_point >= 0x2066 && code_point <= 0x2069) || code_point == 0xFEFF;
}

}  // namespace

std::string EscapeForLog(absl::string_view text, size_t bytes_max) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size() < bytes_max ? text.size() : bytes_max);
  size_t i = 0;
  while (i < text.size()) {
    const auto byte = static_cast<unsigned char>(text[i]);
    size_t length = 1;
    bool plain = byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
    if (byte >= 0x80) {
      uint32_t code_point = 0;
      const size_t sequence = Utf8Length(text.substr(i), &code_point);
      plain = sequence != 0 && !Misleading(code_point);
      if (plain) length = sequence;
    }
    const size_t needed = plain ? length : 4;
    if (out.size() + needed > bytes_max) {
      out += "...";
      break;
    }
    if (plain) {
      out.append(text.data() + i, length);
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
    i += length;
  }
  return out;
}

}  // namespace postern
