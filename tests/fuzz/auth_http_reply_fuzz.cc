// A service's reply: whatever it sends, a login gets an answer that is safe to act on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "routing/lookup/auth_http_message.h"

namespace postern::routing {
namespace {

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

void CheckReply(absl::string_view head, const AuthHttpRules& rules) {
  const LookupAnswer answer = ReadAuthHttpReply(head, rules);
  CHECK(!HasControl(answer.target) && answer.target.size() <= 64);
  CHECK(!HasControl(answer.login_user) && !HasControl(answer.refusal) &&
        !HasControl(answer.detail));
  CHECK(answer.refusal.size() <= 400);
  if (answer.kind == LookupAnswer::Kind::kFound) {
    CHECK(!answer.login_secret.has_value() || !HasControl(answer.login_secret->view()));
    CHECK(answer.refusal.empty());
  }
  if (answer.kind == LookupAnswer::Kind::kWait) CHECK(answer.wait.has_value());
  CHECK(answer.wait.value_or(0) >= 0 && answer.ttl.value_or(0) >= 0);
  // It names the place of every yes: in the reply, or by an explicit OK.
  if (answer.kind == LookupAnswer::Kind::kFound && answer.target.empty()) {
    CHECK(head.find("OK") != absl::string_view::npos);
  }
}

}  // namespace
}  // namespace postern::routing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  postern::routing::AuthHttpRules rules;
  rules.strict = (data[0] & 1) != 0;
  rules.percent = (data[0] & 2) != 0;
  const absl::string_view head(reinterpret_cast<const char*>(data) + 1, size - 1);
  postern::routing::CheckReply(head, rules);

  // Whatever goes out stays on its own line.
  const std::string escaped = postern::routing::EscapeAuthHttp(head);
  CHECK(std::none_of(escaped.begin(), escaped.end(),
                     [](char c) { return static_cast<unsigned char>(c) <= 0x20; }));
  return 0;
}
