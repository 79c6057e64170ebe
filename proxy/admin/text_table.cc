#include "proxy/admin/text_table.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace postern::admin {

void AddTable(const std::vector<std::vector<std::string>>& rows, std::string* text) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += absl::StrFormat("%-*s  ", static_cast<int>(widths[i]), row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(text, line, "\n");
  }
}

std::string AgoText(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < 120) return absl::StrCat(whole, " s");
  if (whole < 7200) return absl::StrCat(whole / 60, " min");
  if (whole < 172800) return absl::StrCat(whole / 3600, " h");
  return absl::StrCat(whole / 86400, " d");
}

}  // namespace postern::admin
