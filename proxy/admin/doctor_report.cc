#include "proxy/admin/doctor_report.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace postern::admin {
namespace {

constexpr size_t kColumns = 98;
constexpr size_t kIndent = 9;

// The text broken between words, further lines behind `indent` spaces.
std::string Wrap(absl::string_view text, size_t indent) {
  std::string wrapped;
  size_t column = indent;
  for (const absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"))) {
    if (column > indent && column + 1 + word.size() > kColumns) {
      absl::StrAppend(&wrapped, "\n", std::string(indent, ' '));
      column = indent;
    } else if (column > indent) {
      wrapped += ' ';
      ++column;
    }
    absl::StrAppend(&wrapped, word);
    column += word.size();
  }
  return wrapped;
}

std::string Counted(int count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace

void DoctorReport::Begin(absl::string_view part) { title_ = absl::StrCat(part, "\n"); }

void DoctorReport::Good(absl::string_view what) { Tell("ok", what, ""); }

void DoctorReport::Note(absl::string_view what) { Tell("note", what, ""); }

void DoctorReport::Warn(absl::string_view what, absl::string_view mend) {
  ++warnings_;
  Tell("warn", what, mend);
}

void DoctorReport::Bad(absl::string_view what, absl::string_view mend) {
  ++problems_;
  Tell("BAD", what, mend);
}

void DoctorReport::Tell(absl::string_view word, absl::string_view what, absl::string_view mend) {
  if (!title_.empty()) output_(title_);
  title_.clear();
  std::string text = absl::StrFormat("  %-6s %s\n", word, Wrap(what, kIndent));
  if (!mend.empty()) {
    absl::StrAppend(&text, std::string(kIndent, ' '), "-> ", Wrap(mend, kIndent + 3), "\n");
  }
  output_(text);
}

void DoctorReport::End() {
  if (problems_ + warnings_ == 0) return output_("Nothing to mend.\n");
  std::string text;
  if (problems_ > 0) text = Counted(problems_, "problem");
  if (warnings_ > 0) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", Counted(warnings_, "warning"));
  }
  output_(absl::StrCat(text, ".\n"));
}

}  // namespace postern::admin
