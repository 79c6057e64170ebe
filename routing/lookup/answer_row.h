// The answer that a row of a database, an entry of a directory or a stored value stands for.
#ifndef POSTERN_ROUTING_LOOKUP_ANSWER_ROW_H_
#define POSTERN_ROUTING_LOOKUP_ANSWER_ROW_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "routing/lookup/source.h"

namespace postern::routing {

// What an operator's query, filter or key may use of a user: all of it, what stands in front of the
// last '@' and what stands behind. Views of the user; the domain is empty when there is no '@'.
struct UserParts {
  explicit UserParts(absl::string_view name);
  absl::string_view user;
  absl::string_view local;
  absl::string_view domain;
};

// `pattern` with {user}, {local} and {domain} replaced by what `escape` makes of them. What is put
// in is not looked at again. Other braces stay.
std::string FillPattern(absl::string_view pattern, const UserParts& parts,
                        std::string (*escape)(absl::string_view));
// Whether the pattern names the user or its local part: without, everybody would get one answer.
bool PatternNamesUser(absl::string_view pattern);

// One row; unset: NULL, or no such column.
struct AnswerRow {
  std::optional<std::string> target;
  std::optional<std::string> login_user;
  std::optional<Secret> login_secret;
};

// kFound, or kForbidden without a target, or kTemporary when a value could never be used (empty,
// longer than 512 bytes, control bytes). `where` begins the detail, as "PostgreSQL".
LookupAnswer AnswerOf(AnswerRow row, absl::string_view where);
// kTemporary: several rows where one was expected.
LookupAnswer SeveralRows(absl::string_view where);

// A library's message for logs: one line, escaped, not too long, with `secret` blotted out.
std::string Scrubbed(absl::string_view message, const Secret& secret);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_ANSWER_ROW_H_
