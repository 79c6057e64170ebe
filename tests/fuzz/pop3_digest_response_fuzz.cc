// The client's message of DIGEST-MD5: what is read of it names one user, without control bytes.
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/digest_response.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const std::optional<DigestResponse> response = ReadDigestResponse(text);
  if (!response.has_value()) return 0;
  CHECK(!HasControlBytes(text) && text.size() <= kDigestResponseBytesMax);
  CHECK(!WithoutTrailingSpaces(response->user).empty() && response->user.size() < text.size());
  CHECK(!HasControlBytes(response->user) && !HasControlBytes(response->authorization_id));
  return 0;
}
