// Where a fuzz target cuts its input: a reproducible sequence of segment sizes from one seed byte.
#ifndef POSTERN_TESTS_FUZZ_SPLIT_POINTS_H_
#define POSTERN_TESTS_FUZZ_SPLIT_POINTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace postern::fuzz {

class SplitPoints {
 public:
  explicit SplitPoints(uint8_t seed) : state_(0x9E3779B97F4A7C15ULL * (seed + 1U)) {}

  // Takes the next segment, never empty unless `*rest` is, from the front of `*rest`. Half of the
  // segments are single bytes, the others up to 64.
  absl::string_view Take(absl::string_view* rest) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    const size_t wanted = (state_ & 1) != 0 ? 1 : 1 + (state_ >> 8) % 64;
    const size_t size = std::min(wanted, rest->size());
    const absl::string_view segment = rest->substr(0, size);
    rest->remove_prefix(size);
    return segment;
  }

 private:
  uint64_t state_;
};

}  // namespace postern::fuzz

#endif  // POSTERN_TESTS_FUZZ_SPLIT_POINTS_H_
