// How large the messages of a synthetic maildrop are, and how many there are: a distribution, and
// the number it gives to one message or user. The same one always gets the same number. Sans-I/O;
// any thread.
#ifndef POSTERN_BENCH_MAILDROP_SIZE_MODEL_H_
#define POSTERN_BENCH_MAILDROP_SIZE_MODEL_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern::maildrop {

// Octets, as LIST counts them. The smallest has room for the header.
inline constexpr uint64_t kMessageBytesMin = 640;
inline constexpr uint64_t kMessageBytesMax = uint64_t{1} << 30;
// Of one user.
inline constexpr uint64_t kMessagesMax = 100000;

class SizeModel {
 public:
  // 5000 octets each.
  SizeModel() = default;

  // "fixed:5000", "uniform:1000-20000", "lognormal:MEDIAN:SIGMA", for example
  // "lognormal:20000:1.2" (SIGMA is that of the natural logarithm; what lies outside the limits is
  // moved to them), or "weighted:2000=60,20000=30,1000000=10" (size = share). Errors say what is
  // wrong and show an example.
  static absl::StatusOr<SizeModel> Parse(absl::string_view text);
  // The same for numbers of messages; "10" is "fixed:10".
  static absl::StatusOr<SizeModel> ParseCounts(absl::string_view text);

  // `random` is 64 evenly spread bits that belong to the message or user.
  uint64_t SizeOf(uint64_t random) const;
  // Every message has SizeOf(0) octets.
  bool fixed() const { return kind_ == Kind::kFixed; }

 private:
  enum class Kind : uint8_t { kFixed, kUniform, kLogNormal, kWeighted };
  // Whether all of it could be read, within the limits.
  bool Read(absl::string_view text);
  bool ReadNumber(absl::string_view text, uint64_t* number) const;
  bool ReadWeights(absl::string_view text);

  Kind kind_ = Kind::kFixed;
  uint64_t least_ = kMessageBytesMin;
  uint64_t most_ = kMessageBytesMax;
  uint64_t low_ = 5000;
  uint64_t high_ = 5000;
  double median_ = 0;
  double sigma_ = 0;
  // Sizes, each with the sum of the shares up to and including its own.
  std::vector<std::pair<uint64_t, uint64_t>> weights_;
};

}  // namespace postern::maildrop

#endif  // POSTERN_BENCH_MAILDROP_SIZE_MODEL_H_
