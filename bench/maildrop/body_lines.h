// The body of a made-up message, line by line, in its form on the wire.
//
// A body is a row of blocks and a rest. A block is a line that occurs nowhere else, made from the
// message's bits and the line's number, and 31 lines of a text that all messages share, from a
// place that the same bits choose. The rest, too short for a block, is lines of the first kind. So
// nearly all of a message is text that lies ready: sending it costs a copy, checking it a
// comparison, and a line that was lost, doubled or moved is still found.
//
// Lines have at most 78 characters; some begin with a dot, and some are a lone dot, because that is
// where proxies go wrong. Sans-I/O; any thread.
#ifndef POSTERN_BENCH_MAILDROP_BODY_LINES_H_
#define POSTERN_BENCH_MAILDROP_BODY_LINES_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::maildrop {

class BodyLines {
 public:
  // The longest line on the wire, with room to spare.
  static constexpr size_t kLineBytesMax = 82;

  // `octets` is the length of the body before dot-stuffing; one octet is no line.
  BodyLines(uint64_t bits, uint64_t octets) : bits_(bits), left_(octets) {}

  // The next whole lines, at most `bytes_max` (at least kLineBytesMax) and never more than
  // `lines_max` since the start. The view is of shared text, or of `*room`, which has
  // kLineBytesMax bytes; empty at the end.
  absl::string_view Next(size_t bytes_max, uint64_t lines_max, char* room);

  // Writes lines while they surely fit and while `lines_max` is not reached; returns how many
  // bytes. `capacity` is at least kLineBytesMax.
  size_t Write(char* out, size_t capacity, uint64_t lines_max);

  bool done() const { return left_ == 0; }
  uint64_t lines() const { return line_; }

 private:
  absl::string_view NextLine(uint64_t mix, size_t chars, bool dots, char* room);

  uint64_t bits_;
  uint64_t left_;
  uint64_t line_ = 0;
  uint32_t shared_ = 0;       // the next shared line of the current block
  uint32_t shared_left_ = 0;  // how many of them are still to come
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_BODY_LINES_H_
