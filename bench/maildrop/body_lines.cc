#include "bench/maildrop/body_lines.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::maildrop {
namespace {

using routing::MixBits;

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
constexpr size_t kLineChars = 76;
constexpr size_t kLineOctets = kLineChars + 2;
constexpr size_t kSharedPerBlock = 31;
// Where a block may begin in the shared text. Its 80 KB stay in the second-level cache.
constexpr size_t kStarts = 1024;
constexpr size_t kSharedLines = kStarts + kSharedPerBlock;
constexpr size_t kLetters = 4096;

struct SharedText {
  std::array<char, kLetters + kLineChars> letters;  // lines of a message's own are cut out of these
  std::string wire;                                 // the shared lines, dot-stuffed
  std::array<uint32_t, kSharedLines + 1> wire_at;   // where each one begins there
  std::array<uint32_t, kSharedLines + 1> octets_at;  // and how many octets stand before it
};

// One line of kLineChars characters or fewer. Of 256 lines four begin with a dot and one is a dot.
void AppendLine(SharedText* text, uint64_t mix) {
  const uint64_t shape = mix & 0xff;
  const size_t chars = shape == 0 ? 1 : kLineChars;
  const char* from = text->letters.data() + (mix >> 8) % kLetters;
  if (shape < 5) {
    text->wire += "..";
    text->wire.append(from, chars - 1);
  } else {
    text->wire.append(from, chars);
  }
  text->wire += "\r\n";
}

SharedText* MakeSharedText() {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -";
  static_assert(sizeof(kAlphabet) == 65);
  auto* const text = new SharedText();
  for (size_t i = 0; i < text->letters.size(); ++i) {
    text->letters[i] = kAlphabet[MixBits(kGolden * (i + 1)) % 64];
  }
  uint32_t octets = 0;
  for (size_t i = 0; i < kSharedLines; ++i) {
    const size_t begin = text->wire.size();
    text->wire_at[i] = static_cast<uint32_t>(begin);
    text->octets_at[i] = octets;
    AppendLine(text, MixBits(kGolden * (i + kLetters)));
    const bool stuffed = text->wire[begin] == '.';
    octets += static_cast<uint32_t>(text->wire.size() - begin) - (stuffed ? 1 : 0);
  }
  text->wire_at[kSharedLines] = static_cast<uint32_t>(text->wire.size());
  text->octets_at[kSharedLines] = octets;
  return text;
}

const SharedText& TheText() {
  static const SharedText* const text = MakeSharedText();
  return *text;
}

}  // namespace

// A line of the message's own: 16 digits that say which, then letters.
absl::string_view BodyLines::NextLine(uint64_t mix, size_t chars, bool dots, char* room) {
  constexpr char kDigits[] = "0123456789abcdef";
  char* at = room;
  left_ -= chars + 2;
  ++line_;
  if (dots && chars > 0) {
    *at++ = '.';
    *at++ = '.';
    --chars;
  }
  std::memcpy(at, TheText().letters.data() + (mix >> 8) % kLetters, chars);
  for (size_t i = 0; i < std::min<size_t>(chars, 16); ++i)
    at[i] = kDigits[mix >> (60 - 4 * i) & 15];
  at += chars;
  *at++ = '\r';
  *at++ = '\n';
  return absl::string_view(room, static_cast<size_t>(at - room));
}

absl::string_view BodyLines::Next(size_t bytes_max, uint64_t lines_max, char* room) {
  DCHECK(bytes_max >= kLineBytesMax);
  if (left_ == 0 || line_ >= lines_max) return {};
  const SharedText& text = TheText();
  if (shared_left_ == 0) {
    const uint64_t mix = MixBits(bits_ + kGolden * (line_ + 1));
    const auto start = static_cast<uint32_t>((mix >> 8) % kStarts);
    const uint64_t block =
        kLineOctets + text.octets_at[start + kSharedPerBlock] - text.octets_at[start];
    // A single octet could not be made a line.
    if (left_ >= block && left_ - block != 1) {
      shared_ = start;
      shared_left_ = kSharedPerBlock;
      return NextLine(mix, kLineChars, /*dots=*/false, room);
    }
    const uint64_t shape = mix & 0xff;
    size_t chars = left_ <= kLineOctets ? left_ - 2 : kLineChars;
    if (left_ == kLineOctets + 1) --chars;
    if (shape == 0 && (left_ == 3 || left_ >= 5)) chars = 1;
    return NextLine(mix, chars, shape < 5, room);
  }
  // Shared lines have at most kLineOctets + 1 bytes, so as many surely fit.
  const auto lines = static_cast<uint32_t>(
      std::min({uint64_t{shared_left_}, lines_max - line_, bytes_max / (kLineOctets + 1)}));
  const uint32_t begin = text.wire_at[shared_];
  const uint32_t end = text.wire_at[shared_ + lines];
  left_ -= text.octets_at[shared_ + lines] - text.octets_at[shared_];
  line_ += lines;
  shared_ += lines;
  shared_left_ -= lines;
  return absl::string_view(text.wire.data() + begin, end - begin);
}

size_t BodyLines::Write(char* out, size_t capacity, uint64_t lines_max) {
  size_t size = 0;
  while (capacity - size >= kLineBytesMax) {
    const absl::string_view lines = Next(capacity - size, lines_max, out + size);
    if (lines.empty()) break;
    // A line of the message's own was made in its place.
    if (lines.data() != out + size) std::memcpy(out + size, lines.data(), lines.size());
    size += lines.size();
  }
  return size;
}

}  // namespace postern::maildrop
