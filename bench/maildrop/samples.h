// The few messages a person can read: they show who is logged in, and on which store.
#ifndef POSTERN_BENCH_MAILDROP_SAMPLES_H_
#define POSTERN_BENCH_MAILDROP_SAMPLES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace postern::maildrop {

inline constexpr uint64_t kSamples = 3;

struct Sample {
  std::string subject;
  std::string text;  // lines with CRLF, not dot-stuffed
};

// `number` is from 1 to kSamples.
Sample MakeSample(uint64_t number, absl::string_view user, absl::string_view store);

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_SAMPLES_H_
