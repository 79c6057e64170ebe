#include "proxy/base/all_errors.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace postern {

void AllErrors::Add(const absl::Status& status) {
  if (status.ok()) return;
  if (code_ == absl::StatusCode::kOk) code_ = status.code();
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    if (!told_.emplace(line).second) continue;
    absl::StrAppend(&lines_, lines_.empty() ? "" : "\n", line);
  }
}

absl::Status AllErrors::ToStatus() const { return absl::Status(code_, lines_); }

}  // namespace postern
