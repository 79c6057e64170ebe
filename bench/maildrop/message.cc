#include "bench/maildrop/message.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::maildrop {
namespace {

using routing::MixBits;
using routing::StableHash;

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
constexpr size_t kHeaderBytesMax = 4096;
constexpr absl::string_view kField = "\r\nX-Postern-Message: ";
constexpr absl::string_view kTerminator = "\r\n.\r\n";

// What may stand between angle brackets; a strange name must not break the header.
std::string HeaderSafe(absl::string_view user) {
  std::string safe(user.substr(0, 60));
  for (char& c : safe) {
    if (c <= ' ' || c > '~' || c == '<' || c == '>') c = '?';
  }
  return safe;
}

// The user in a header of ours, as HeaderSafe() left the name.
std::string AddresseeOf(absl::string_view header) {
  constexpr absl::string_view kTo = "\r\nTo: <";
  const size_t begin = header.find(kTo);
  if (begin == header.npos) return "?";
  const absl::string_view name = header.substr(begin + kTo.size());
  return HeaderSafe(name.substr(0, name.find('>')));
}

// Up to and including the empty line.
std::string Header(const MessageId& id, absl::string_view subject, absl::string_view kind,
                   uint64_t seed_or_hash) {
  const uint64_t minute = id.number % 1440;
  std::string header = absl::StrFormat(
      "From: %s <mail@%s.example>\r\nTo: <%s>\r\nSubject: %s\r\n"
      "Date: Thu, 01 Jan 2026 %02d:%02d:00 +0000\r\n"
      "Message-ID: <%s@%s.example>\r\n"
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n",
      id.store, id.store, HeaderSafe(id.user), subject, minute / 60, minute % 60,
      UniqueId(id.user, id.number, id.seed), id.store);
  absl::StrAppendFormat(&header, "X-Postern-Message: %s %016x %d %d\r\n %016x", kind, seed_or_hash,
                        id.number, id.octets, StableHash(id.user));
  absl::StrAppendFormat(&header, " %016x\r\n\r\n", StableHash(header));
  return header;
}

std::string LineHeader(const MessageId& id) {
  return Header(id, absl::StrCat("Message ", id.number), "lines", id.seed);
}

std::string SampleHeader(MessageId id, absl::string_view subject, absl::string_view text) {
  // The length of the header holds a number that includes it; a few rounds settle that.
  std::string header;
  for (int round = 0; round < 4; ++round) {
    header = Header(id, subject, "text", StableHash(text));
    id.octets = header.size() + text.size();
  }
  return Header(id, subject, "text", StableHash(text));
}

// A dot in front of every line that begins with one; at most `lines_max` lines.
void AppendStuffed(absl::string_view text, uint64_t lines_max, std::string* wire) {
  while (!text.empty() && lines_max-- > 0) {
    const size_t end = text.find("\r\n");
    const absl::string_view line = text.substr(0, end == text.npos ? end : end + 2);
    if (line[0] == '.') wire->push_back('.');
    wire->append(line.data(), line.size());
    text.remove_prefix(line.size());
  }
}

std::string Unstuffed(absl::string_view wire) {
  std::string text;
  bool line_begins = true;
  for (const char c : wire) {
    if (!(line_begins && c == '.')) text.push_back(c);
    line_begins = c == '\n';
  }
  return text;
}

// How far into CR LF . CR LF `wire` leads, from `matched` on; stops behind its end.
size_t MatchTerminator(absl::string_view wire, size_t* matched) {
  size_t i = 0;
  while (i < wire.size() && *matched < kTerminator.size()) {
    const char c = wire[i++];
    if (c == kTerminator[*matched]) {
      ++*matched;
    } else {
      *matched = c == '\r' ? 1 : 0;
    }
  }
  return i;
}

}  // namespace

uint64_t MessageBits(uint64_t user_hash, uint64_t number, uint64_t seed) {
  return MixBits(user_hash ^ MixBits(seed + kGolden * number));
}

uint64_t MessageBits(absl::string_view user, uint64_t number, uint64_t seed) {
  return MessageBits(StableHash(user), number, seed);
}

std::string UniqueId(absl::string_view user, uint64_t number, uint64_t seed) {
  return absl::StrFormat("%016x", MixBits(MessageBits(user, number, seed) + kGolden));
}

MessageStream::MessageStream(const MessageId& id, uint64_t body_lines)
    : front_(LineHeader(id)),
      body_(MessageBits(id.user, id.number, id.seed),
            id.octets > front_.size() + 1 ? id.octets - front_.size() : 0),
      body_lines_(body_lines) {
  CHECK(id.octets >= front_.size());
}

MessageStream::MessageStream(const MessageId& id, absl::string_view subject, absl::string_view text,
                             uint64_t body_lines)
    : front_(SampleHeader(id, subject, text)), body_(0, 0), body_lines_(0) {
  AppendStuffed(text, body_lines, &front_);
}

size_t MessageStream::Write(char* out, size_t capacity) {
  size_t size = std::min(front_.size() - written_, capacity);
  std::memcpy(out, front_.data() + written_, size);
  written_ += size;
  if (written_ < front_.size()) return size;
  if (capacity - size >= BodyLines::kLineBytesMax) {
    size += body_.Write(out + size, capacity - size, body_lines_);
  }
  const bool body_over = body_.done() || body_.lines() >= body_lines_;
  if (body_over && !finished_ && capacity - size >= 3) {
    std::memcpy(out + size, ".\r\n", 3);
    size += 3;
    finished_ = true;
  }
  return size;
}

uint64_t SampleOctets(const MessageId& id, absl::string_view subject, absl::string_view text) {
  return SampleHeader(id, subject, text).size() + text.size();
}

MessageVerifier::MessageVerifier(absl::string_view user) : user_hash_(StableHash(user)) {}

MessageVerifier::Verdict MessageVerifier::Corrupt(absl::string_view problem) {
  problem_ = std::string(problem);
  return Verdict::kCorrupt;
}

MessageVerifier::Verdict MessageVerifier::OnInput(absl::string_view wire, size_t* consumed) {
  *consumed = 0;
  if (state_ == State::kHeader) {
    const size_t before = kept_.size();
    kept_.append(wire.data(), std::min(wire.size(), kHeaderBytesMax - before));
    const size_t blank = kept_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
    size_t used = 0;
    size_t matched = terminator_;
    const absl::string_view fresh = absl::string_view(kept_).substr(before);
    used = MatchTerminator(fresh, &matched);
    if (blank != std::string::npos && before + used >= blank + 4) {
      used = blank + 4 - before;
      kept_.resize(blank + 2);
      const Verdict verdict = OnHeader(kept_);
      kept_.clear();
      terminator_ = 2;
      *consumed = used;
      if (verdict != Verdict::kMore) return verdict;
    } else {
      terminator_ = matched;
      *consumed = used;
      const bool over = matched == kTerminator.size();
      if (!over && kept_.size() < kHeaderBytesMax) return Verdict::kMore;
      if (absl::StrContains(kept_, kField)) return Corrupt("its header has no end");
      if (over) return Verdict::kUnverified;
      state_ = State::kForeign;
    }
    size_t more = 0;
    const Verdict verdict = OnInput(wire.substr(*consumed), &more);
    *consumed += more;
    return verdict;
  }
  if (state_ == State::kLines) return CompareLines(wire, consumed);
  *consumed = MatchTerminator(wire, &terminator_);
  if (state_ == State::kText) {
    kept_.append(wire.data(), *consumed);
    if (kept_.size() > 2 * body_octets_ + kTerminator.size())
      return Corrupt("the body is too long");
    return terminator_ == kTerminator.size() ? FinishText() : Verdict::kMore;
  }
  return terminator_ == kTerminator.size() ? Verdict::kUnverified : Verdict::kMore;
}

// `header` ends in the CRLF of its last line.
MessageVerifier::Verdict MessageVerifier::OnHeader(absl::string_view header) {
  state_ = State::kForeign;
  const size_t field = header.find(kField);
  if (field == header.npos) return Verdict::kMore;
  const absl::string_view value = header.substr(field + kField.size());
  const std::vector<absl::string_view> words =
      absl::StrSplit(value, absl::ByAnyChar(" \r\n"), absl::SkipEmpty());
  uint64_t seed = 0;
  uint64_t octets = 0;
  uint64_t user_hash = 0;
  uint64_t check = 0;
  if (words.size() != 6 || !absl::SimpleHexAtoi(words[1], &seed) ||
      !absl::SimpleAtoi(words[2], &number_) || !absl::SimpleAtoi(words[3], &octets) ||
      !absl::SimpleHexAtoi(words[4], &user_hash) || !absl::SimpleHexAtoi(words[5], &check)) {
    return Corrupt("its header line X-Postern-Message is damaged");
  }
  const auto covered = static_cast<size_t>(words[5].data() - header.data()) - 1;
  if (StableHash(header.substr(0, covered)) != check) return Corrupt("its header is damaged");
  if (user_hash != user_hash_) {
    return Corrupt(absl::StrCat("it is the message of another user, ", AddresseeOf(header)));
  }
  const uint64_t header_octets = header.size() + 2;
  if (octets < header_octets) return Corrupt("its header line X-Postern-Message is damaged");
  body_octets_ = octets - header_octets;
  if (words[0] == "text") {
    state_ = State::kText;
    text_hash_ = seed;
    return Verdict::kMore;
  }
  state_ = State::kLines;
  body_ = BodyLines(MessageBits(user_hash, number_, seed), body_octets_ == 1 ? 0 : body_octets_);
  return Verdict::kMore;
}

MessageVerifier::Verdict MessageVerifier::CompareLines(absl::string_view wire, size_t* consumed) {
  for (;;) {
    if (expected_.empty()) {
      expected_ =
          body_.Next(wire.size() + BodyLines::kLineBytesMax, MessageStream::kAllLines, room_);
    }
    if (expected_.empty()) {
      if (end_expected_) return Verdict::kVerified;
      expected_ = ".\r\n";
      end_expected_ = true;
    }
    const size_t size = std::min(wire.size() - *consumed, expected_.size());
    if (size == 0) return Verdict::kMore;
    if (std::memcmp(wire.data() + *consumed, expected_.data(), size) != 0) {
      return Corrupt("its body is not the one it must have");
    }
    *consumed += size;
    expected_.remove_prefix(size);
  }
}

MessageVerifier::Verdict MessageVerifier::FinishText() {
  // The last line's CRLF is the body's, the rest of the terminator is not.
  kept_.resize(kept_.size() - 3);
  const std::string text = Unstuffed(kept_);
  if (text.size() != body_octets_ || StableHash(text) != text_hash_) {
    return Corrupt("its body is not the one it must have");
  }
  return Verdict::kVerified;
}

}  // namespace postern::maildrop
