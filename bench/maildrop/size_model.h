// How large the messages of a synthetic maildrop are: a distribution, and the size it gives to one
// message. The same message always gets the same size. Sans-I/O; any thread.
#ifndef POSTERN_BENCH_MAILDROP_SIZE_MODEL_H_
#define POSTERN_BENCH_MAILDROP_SIZE_MODEL_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern::maildrop {

// Octets, as LIST counts them. The smallest has room for the header.
inline constexpr uint64_t kMessageBytesMin = 640;
inline constexpr uint64_t kMessageBytesMax = uint64_t{1} << 30;

class SizeModel {
 public:
  // 5000 octets each.
  SizeModel() = default;

  // "fixed:5000", "uniform:1000-20000" or "lognormal:MEDIAN:SIGMA", for example
  // "lognormal:20000:1.2" (SIGMA is that of the natural logarithm; the 1 GiB limit cuts the tail).
  // Errors say what is wrong and show an example.
  static absl::StatusOr<SizeModel> Parse(absl::string_view text);

  // `random` is 64 evenly spread bits that belong to the message.
  uint64_t SizeOf(uint64_t random) const;
  // Every message has SizeOf(0) octets.
  bool fixed() const { return kind_ == Kind::kFixed; }

 private:
  enum class Kind : uint8_t { kFixed, kUniform, kLogNormal };
  Kind kind_ = Kind::kFixed;
  uint64_t low_ = 5000;
  uint64_t high_ = 5000;
  double median_ = 0;
  double sigma_ = 0;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_SIZE_MODEL_H_
