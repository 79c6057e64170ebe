#include "bench/load/users.h"

#include <limits>

#include "absl/random/zipf_distribution.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bench/load/text_file.h"
#include "proxy/base/status_macros.h"
#include "routing/stable_hash.h"

namespace postern::load {
namespace {

constexpr size_t kUserFileBytesMax = size_t{2} << 30;
constexpr size_t kNameBytesMax = 400;
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

// An endless row of bits that belongs to one session.
class SessionBits {
 public:
  using result_type = uint64_t;
  SessionBits(uint64_t seed, uint64_t session)
      : state_(routing::MixBits(seed + session * kGolden)) {}
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return routing::MixBits(state_ += kGolden); }

 private:
  uint64_t state_;
};

bool IsControl(char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }
bool IsBlank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string UserPattern::Name(uint64_t index) const {
  return population == 0 ? before : absl::StrCat(before, index, after);
}

absl::StatusOr<UserPattern> ParseUsers(absl::string_view pattern, uint64_t population) {
  UserPattern users;
  for (const char c : pattern) {
    if (IsControl(c)) return absl::InvalidArgumentError("--users holds a control character");
  }
  if (pattern.empty() || pattern.size() > kNameBytesMax) {
    return absl::InvalidArgumentError("--users is a name of 1 to 400 characters");
  }
  const size_t number = pattern.find("%d");
  users.before = std::string(pattern.substr(0, number));
  users.after = number == pattern.npos ? "" : std::string(pattern.substr(number + 2));
  users.population = number == pattern.npos ? 0 : population;
  if (absl::StrContains(users.after, "%d")) {
    return absl::InvalidArgumentError("--users has more than one %d");
  }
  return users;
}

absl::StatusOr<UserFile> UserFile::Parse(std::string text, absl::string_view file) {
  UserFile users;
  users.text_ = std::move(text);
  uint64_t number = 0;
  for (size_t begin = 0; begin < users.text_.size();) {
    ++number;
    const size_t newline = users.text_.find('\n', begin);
    const size_t end = newline == std::string::npos ? users.text_.size() : newline;
    const absl::string_view line = absl::StripTrailingAsciiWhitespace(
        absl::string_view(users.text_).substr(begin, end - begin));
    const auto wrong = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":", number, ": ", what));
    };
    if (!line.empty()) {
      if (IsBlank(line[0])) return wrong("the line begins with a blank");
      for (const char c : line) {
        if (IsControl(c) && c != '\t') return wrong("a control character");
      }
      users.lines_.push_back(begin);
      if (users.Name(users.size() - 1).size() > kNameBytesMax) {
        return wrong("a name has at most 400 characters");
      }
    }
    begin = end + 1;
  }
  if (users.lines_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file,
                     ": no users; write one a line, with a password behind a blank if need "
                     "be"));
  }
  return users;
}

absl::StatusOr<UserFile> UserFile::Read(const std::string& file) {
  ASSIGN_OR_RETURN(std::string text, ReadTextFile(file, kUserFileBytesMax));
  return Parse(std::move(text), file);
}

absl::string_view UserFile::Line(uint64_t index) const {
  const size_t begin = lines_[index];
  const size_t end = text_.find('\n', begin);
  return absl::StripTrailingAsciiWhitespace(absl::string_view(text_).substr(
      begin, end == std::string::npos ? absl::string_view::npos : end - begin));
}

absl::string_view UserFile::Name(uint64_t index) const {
  const absl::string_view line = Line(index);
  return line.substr(0, line.find_first_of(" \t"));
}

absl::string_view UserFile::Password(uint64_t index) const {
  const absl::string_view line = Line(index);
  return absl::StripLeadingAsciiWhitespace(line.substr(Name(index).size()));
}

uint64_t UserChoice::Pick(uint64_t session) const {
  SessionBits bits(seed_, session);
  // The distribution wants at least two to choose from.
  if (skew_ <= 0 || population_ == 1) return bits() % population_;
  absl::zipf_distribution<uint64_t> zipf(population_ - 1, skew_, 1.0);
  return zipf(bits);
}

bool UserChoice::IsAmong(uint64_t session, double percent) const {
  SessionBits bits(~seed_, session);
  return static_cast<double>(bits() >> 11) * 0x1.0p-53 * 100 < percent;
}

}  // namespace postern::load
