#include "proxy/config/diagnostics.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace postern::config {
namespace {

// Longer words are not mistyped keys or names, and the table below is quadratic.
constexpr size_t kWordBytesMax = 64;

// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

void Diagnostics::Add(Position where, absl::string_view message) {
  std::string clean;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&clean, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      clean.push_back(c);
    }
  }
  mistakes_.push_back({where, std::move(clean)});
}

absl::Status Diagnostics::ToStatus() const {
  if (mistakes_.empty()) return absl::OkStatus();
  // Mistakes at one place keep the order they were found in. (std::stable_sort would say that, but
  // the one of libstdc++ 12 does not compile without a warning on clang 19.)
  std::multimap<std::pair<int, int>, const Mistake*> sorted;
  for (const Mistake& mistake : mistakes_) {
    sorted.emplace(std::make_pair(mistake.where.line, mistake.where.column), &mistake);
  }
  const auto line = [this](std::string* out, const auto& entry) {
    const Mistake& mistake = *entry.second;
    absl::StrAppend(out, file_, ":");
    if (mistake.where.line > 0) {
      absl::StrAppend(out, mistake.where.line, ":", mistake.where.column, ":");
    }
    absl::StrAppend(out, " ", mistake.message);
  };
  return absl::InvalidArgumentError(absl::StrJoin(sorted, "\n", line));
}

std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > kWordBytesMax) return "";
  const std::string lower = absl::AsciiStrToLower(word);
  // A third of the word may be wrong: "adress" means "address", "foo" does not mean "tls".
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  const std::string* best = nullptr;
  for (const std::string& candidate : known) {
    if (candidate.size() > kWordBytesMax) continue;
    const size_t distance = EditDistance(lower, absl::AsciiStrToLower(candidate));
    if (distance >= best_distance || distance >= candidate.size()) continue;
    best_distance = distance;
    best = &candidate;
  }
  return best == nullptr ? "" : absl::StrCat("; did you mean \"", *best, "\"?");
}

}  // namespace postern::config
