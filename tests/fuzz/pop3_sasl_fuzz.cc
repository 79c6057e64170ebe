// The SASL decoders: what they accept, they accept in one form only.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/sasl.h"

namespace postern::pop3 {
namespace {

void CheckPlain(absl::string_view message) {
  const absl::StatusOr<PlainMessage> parsed = ParsePlain(message);
  if (!parsed.ok()) return;
  CHECK(!parsed->user.empty() && !parsed->password.empty());
  CHECK(!HasControlBytes(parsed->authorization_id));
  CHECK(!HasControlBytes(parsed->user));
  CHECK(!HasControlBytes(parsed->password.view()));
  const Secret encoded =
      EncodePlain(parsed->authorization_id, parsed->user, parsed->password.view());
  CHECK(encoded.view() == EncodeBase64(message));
}

void CheckBase64(absl::string_view text) {
  const absl::StatusOr<Secret> decoded = DecodeBase64(text);
  if (!decoded.ok()) return;
  CHECK(EncodeBase64(decoded->view()) == text);
  CheckPlain(decoded->view());
}

}  // namespace
}  // namespace postern::pop3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  postern::pop3::CheckBase64(input);
  postern::pop3::CheckPlain(input);
  const absl::StatusOr<postern::Secret> back =
      postern::pop3::DecodeBase64(postern::pop3::EncodeBase64(input));
  CHECK(back.ok() && back->view() == input);
  return 0;
}
