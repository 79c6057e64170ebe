// The first message of a carried SASL mechanism: byte 0 chooses it. A name that is found holds no
// control bytes, and stands in the message.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/sasl_first_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;  // NOLINT
  if (size == 0) return 0;
  constexpr Mechanism kCarried[] = {Mechanism::kScramSha1, Mechanism::kScramSha256,
                                    Mechanism::kXoauth2, Mechanism::kOauthbearer};
  const Mechanism mechanism = kCarried[data[0] % 4];
  const absl::string_view message(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string user;
  if (ReadFirstMessage(mechanism, message, &user) != FirstMessage::kGood) return 0;
  CHECK(!user.empty() && !HasControlBytes(user));
  CHECK(mechanism == Mechanism::kXoauth2 || message.substr(0, 2) == "n," ||
        message.substr(0, 2) == "y,");
  const std::string written = mechanism == Mechanism::kXoauth2
                                  ? user
                                  : absl::StrReplaceAll(user, {{"=", "=3D"}, {",", "=2C"}});
  CHECK(absl::StrContains(message, written));
  return 0;
}
