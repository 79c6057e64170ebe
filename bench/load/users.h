// Who logs in: names made from a pattern or read from a file, and which of them comes next.
#ifndef POSTERN_BENCH_LOAD_USERS_H_
#define POSTERN_BENCH_LOAD_USERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace postern::load {

// "user%d@example.org" and how many users there are.
struct UserPattern {
  std::string before = "user";
  std::string after = "@example.org";
  uint64_t population = 1000;  // 0: everybody is `before`

  std::string Name(uint64_t index) const;
};

// One "%d" is the number; without one everybody is the same user.
absl::StatusOr<UserPattern> ParseUsers(absl::string_view pattern, uint64_t population);

// A line is a name, or a name, blanks and a password. Kept as text: millions of users cost little
// more than their file.
class UserFile {
 public:
  // Errors are "FILE:LINE: what is wrong", without the line itself: it may hold a password.
  static absl::StatusOr<UserFile> Parse(std::string text, absl::string_view file);
  static absl::StatusOr<UserFile> Read(const std::string& file);

  uint64_t size() const { return lines_.size(); }
  absl::string_view Name(uint64_t index) const;
  // Empty when the file has none for this user.
  absl::string_view Password(uint64_t index) const;

 private:
  absl::string_view Line(uint64_t index) const;
  std::string text_;
  std::vector<uint64_t> lines_;  // where each begins
};

// Which user the session with this number is: the same for the same seed, on any number of threads.
class UserChoice {
 public:
  // `skew` 0: all alike. Above 1: Zipf's law, user 0 is the most active, user k is 1/(k+1)^skew as
  // active.
  UserChoice(uint64_t population, double skew, uint64_t seed)
      : population_(population == 0 ? 1 : population), skew_(skew), seed_(seed) {}

  uint64_t Pick(uint64_t session) const;
  // Whether this session is one of `percent` in a hundred. Independent of Pick().
  bool IsAmong(uint64_t session, double percent) const;

 private:
  uint64_t population_;
  double skew_;
  uint64_t seed_;
};

}  // namespace postern::load

#endif  // POSTERN_BENCH_LOAD_USERS_H_
