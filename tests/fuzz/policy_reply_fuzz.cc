// A policy service's answer: whatever it sends, a login gets a decision that is safe to act on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/base/time.h"
#include "routing/lookup/policy_message.h"

namespace postern::routing {
namespace {

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

// What goes out is one line of JSON, whatever a client calls itself.
void CheckMessage(absl::string_view name) {
  PolicyLogin login;
  login.user = name;
  login.session = name;
  CHECK(!HasControl(PolicyAllowMessage(login)));
  const std::string report = PolicyReportMessage(login, PolicyOutcome::kRejected);
  CHECK(!HasControl(report) && report.front() == '{' && report.back() == '}');
}

}  // namespace
}  // namespace postern::routing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using postern::routing::LookupAnswer;
  const absl::string_view body(reinterpret_cast<const char*>(data), size);
  const LookupAnswer answer = postern::routing::ReadPolicyReply(body);
  CHECK(answer.kind != LookupAnswer::Kind::kUnknown);
  CHECK(!postern::routing::HasControl(answer.detail) && answer.detail.size() <= 203);
  CHECK(answer.refusal.empty() && answer.target.empty() && !answer.login_secret.has_value());
  if (answer.wait.has_value()) {
    CHECK(answer.kind == LookupAnswer::Kind::kFound);
    CHECK(*answer.wait > 0 && *answer.wait <= 86400 * postern::kSecond);
  }
  // Every verdict was said.
  if (answer.kind != LookupAnswer::Kind::kTemporary) {
    CHECK(body.find('{') != absl::string_view::npos);
  }
  postern::routing::CheckMessage(body);
  return 0;
}
