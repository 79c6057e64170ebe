#include "bench/load/message_octets.h"

#include <algorithm>

namespace postern::load {

MessageOctets::State MessageOctets::OnByte(char c) {
  ++octets_;
  switch (state_) {
    case State::kLineStart:
      if (c == '.') return State::kDot;
      break;
    case State::kDot:
      if (c == '\r') return State::kDotCr;
      if (c == '.') {
        --octets_;  // one of the two is stuffing
      } else {
        well_stuffed_ = false;
      }
      return State::kLine;
    case State::kDotCr:
      if (c == '\n') {
        octets_ -= 3;
        return State::kDone;
      }
      well_stuffed_ = false;
      break;
    case State::kLineCr:
      if (c == '\n') return State::kLineStart;
      break;
    case State::kLine:
    case State::kDone:
      break;
  }
  return c == '\r' ? State::kLineCr : State::kLine;
}

size_t MessageOctets::OnInput(absl::string_view wire) {
  size_t at = 0;
  while (at < wire.size() && !done()) {
    if (state_ == State::kLine) {
      // Most bytes are in the middle of a line.
      const size_t end = std::min(wire.find('\r', at), wire.size());
      octets_ += end - at;
      at = end;
      if (at == wire.size()) break;
    }
    state_ = OnByte(wire[at++]);
  }
  return at;
}

}  // namespace postern::load
