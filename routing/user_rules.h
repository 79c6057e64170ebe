// Rules that form the name of a backend or pool out of the user's name.
//
//   # comment
//   u([0-9])[0-9]*@example\.org<TAB>mail\1
//   .*@(.*)\.example\.net<TAB>pool-\1        \1 to \9 stand for what the parentheses matched
//
// The first rule whose regular expression (RE2) matches the whole name decides. Most rules form one
// of a few names; a name that no backend and no pool has means that the rule does not know the
// user. A name is bytes: an expression sees one character for each, and (?i) knows ASCII only.
// Immutable but for a note of what was logged; any number of threads.
#ifndef POSTERN_ROUTING_USER_RULES_H_
#define POSTERN_ROUTING_USER_RULES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "routing/target_names.h"

namespace postern::routing {

// Rules are tried one by one, so there cannot be many: each user a rule of its own is a map.
inline constexpr size_t kRulesMax = 1000;
inline constexpr size_t kRuleFileBytesMax = size_t{4} << 20;

class UserRules {
 public:
  struct Hit {
    int line = 0;                    // of the rule that matched; 0: none did
    std::optional<uint32_t> target;  // nothing: nobody has the name that it formed
    // That name, for explanations; filled by Explain() only.
    std::string name;
  };

  ~UserRules();
  UserRules(const UserRules&) = delete;
  UserRules& operator=(const UserRules&) = delete;

  // `user` is normalised. The first time a rule forms a name that nobody has, a warning is logged.
  // Allocates only inside RE2, which builds its automata as they are needed and keeps them.
  std::optional<uint32_t> Find(absl::string_view user) const;
  // The same for people: which rule matched and what it formed. Logs nothing.
  Hit Explain(absl::string_view user) const;

  size_t size() const;

  // Each error is "NAME:line: what is wrong; how to mend it", one per line, at most 20. `targets`
  // is kept.
  static absl::StatusOr<std::unique_ptr<const UserRules>> Parse(
      absl::string_view text, const std::string& name, std::shared_ptr<const TargetNames> targets);
  static absl::StatusOr<std::unique_ptr<const UserRules>> Load(
      const std::string& file, std::shared_ptr<const TargetNames> targets);
  // One rule, written in the configuration itself. Errors have no place.
  static absl::StatusOr<std::unique_ptr<const UserRules>> Single(
      const std::string& regex, const std::string& target, int line,
      std::shared_ptr<const TargetNames> targets);

 private:
  struct Rule;
  class Parser;
  struct Impl;
  UserRules();
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_USER_RULES_H_
