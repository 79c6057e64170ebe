#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "routing/lookup/mysql_source.h"

namespace postern::routing {
namespace {

// How long the quoted text or comment is that `text` begins with: 0 for neither, npos without an
// end. Backslashes escape inside '...' and "...", not inside `...`.
size_t QuotedLength(absl::string_view text) {
  const char quote = text[0];
  if (quote == '\'' || quote == '"' || quote == '`') {
    for (size_t i = 1; i < text.size(); ++i) {
      if (text[i] == '\\' && quote != '`') {
        ++i;
      } else if (text[i] == quote) {
        return i + 1;
      }
    }
    return absl::string_view::npos;
  }
  if (absl::StartsWith(text, "/*")) {
    const size_t end = text.find("*/", 2);
    return end == absl::string_view::npos ? end : end + 2;
  }
  if (quote == '#' || absl::StartsWith(text, "-- ")) {
    const size_t end = text.find('\n');
    return end == absl::string_view::npos ? text.size() : end + 1;
  }
  return 0;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

absl::StatusOr<MysqlQuery> TranslateQuery(absl::string_view query) {
  MysqlQuery translated;
  while (!query.empty()) {
    const size_t quoted = QuotedLength(query);
    if (quoted == absl::string_view::npos) {
      return absl::InvalidArgumentError("a quote or comment in the query has no end; close it");
    }
    if (quoted > 0) {
      translated.text.append(query.data(), quoted);
      query.remove_prefix(quoted);
      continue;
    }
    if (query[0] == '?') {
      return absl::InvalidArgumentError(
          "the query has a ?; write $1 for the user, $2 for its local part, $3 for its domain");
    }
    if (query[0] == '$' && query.size() > 1 && IsDigit(query[1])) {
      const bool more = query.size() > 2 && IsDigit(query[2]);
      if (more || query[1] < '1' || query[1] > '3') {
        return absl::InvalidArgumentError(
            "the query has a $ with another number than 1, 2 or 3; $1 is the user, $2 its local "
            "part, $3 its domain");
      }
      translated.text += '?';
      translated.parameters.push_back(query[1] - '0');
      query.remove_prefix(2);
      continue;
    }
    translated.text += query[0];
    query.remove_prefix(1);
  }
  return translated;
}

}  // namespace postern::routing
