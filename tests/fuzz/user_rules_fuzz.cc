// Rule files: whatever the bytes, rules or mistakes with their places; and whatever the user, an
// answer that is a target, the same one each time, and the one that the explanation tells.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "routing/user_rules.h"

namespace postern::routing {
namespace {

void CheckUser(const UserRules& rules, absl::string_view user) {
  const std::optional<uint32_t> target = rules.Find(user);
  CHECK(!target.has_value() || *target <= 1);
  CHECK(rules.Find(user) == target);
  const UserRules::Hit told = rules.Explain(user);
  CHECK(told.target == target);
  CHECK(told.name.size() <= 64);
  CHECK(told.line > 0 || !target.has_value());
}

}  // namespace
}  // namespace postern::routing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using postern::routing::TargetNames;
  using postern::routing::UserRules;
  postern::log::Configure(postern::log::Level::kError);
  static const auto* const targets =
      new std::shared_ptr<const TargetNames>(std::make_shared<const TargetNames>(
          TargetNames{{"mail1", 0}, {"mail2", 1}, {"both", postern::routing::kAmbiguousTarget}}));
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rules = UserRules::Parse(text, "users.rules", *targets);
  if (!rules.ok()) {
    for (const absl::string_view line : absl::StrSplit(rules.status().message(), '\n')) {
      CHECK(absl::StartsWith(line, "users.rules:"));
    }
    return 0;
  }
  CHECK((*rules)->size() <= text.size() / 3 + 1);
  for (const char* user : {"", "u1@example.org", "x@2.example.net", "j\xf6rg", "mail1"}) {
    postern::routing::CheckUser(**rules, user);
  }
  postern::routing::CheckUser(**rules, text.substr(0, 320));
  return 0;
}
