// Follows a multi-line answer whose content nobody knows in advance: where it ends, how many octets
// it has before dot-stuffing (RFC 1939 section 3), and whether every line that begins with a dot
// was stuffed. Sans-I/O.
#ifndef POSTERN_BENCH_LOAD_MESSAGE_OCTETS_H_
#define POSTERN_BENCH_LOAD_MESSAGE_OCTETS_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::load {

class MessageOctets {
 public:
  // Takes the answer behind its status line, in pieces of any size; returns how many bytes belong
  // to it. It takes none once done().
  size_t OnInput(absl::string_view wire);

  // The lone dot has been seen.
  bool done() const { return state_ == State::kDone; }
  // Without the stuffing and the lone dot; final when done.
  uint64_t octets() const { return octets_; }
  // No line began with a single dot and something behind it.
  bool well_stuffed() const { return well_stuffed_; }

 private:
  enum class State : uint8_t { kLineStart, kDot, kDotCr, kLine, kLineCr, kDone };
  State OnByte(char c);
  State state_ = State::kLineStart;
  bool well_stuffed_ = true;
  uint64_t octets_ = 0;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_MESSAGE_OCTETS_H_
