#include "proxy/pop3/referral.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/reply.h"

namespace postern::pop3 {
namespace {

constexpr absl::string_view kCode = "REFERRAL/";

bool ReadPort(absl::string_view text, uint16_t* port) {
  uint32_t value = 0;
  if (text.empty() || text.find_first_not_of("0123456789") != absl::string_view::npos) return false;
  if (!absl::SimpleAtoi(text, &value) || value == 0 || value > 65535) return false;
  *port = static_cast<uint16_t>(value);
  return true;
}

// "host" or "host:port". An IPv6 literal stands there without brackets, which would end the code,
// and without a port.
bool ReadPlace(absl::string_view place, Referral* referral) {
  absl::string_view port;
  bool has_port = false;
  if (const size_t colon = place.find(':');
      colon != absl::string_view::npos && place.rfind(':') == colon) {
    port = place.substr(colon + 1);
    place = place.substr(0, colon);
    has_port = true;
  }
  if (place.empty() || (has_port && !ReadPort(port, &referral->port))) return false;
  referral->host = std::string(place);
  return true;
}

}  // namespace

std::optional<Referral> ReadReferral(absl::string_view line) {
  absl::ConsumeSuffix(&line, "\r\n");
  const StatusLine status = ParseStatusLine(line);
  absl::string_view code = status.code;
  if (status.status != Status::kErr || !absl::StartsWithIgnoreCase(code, kCode)) {
    return std::nullopt;
  }
  code.remove_prefix(kCode.size());
  if (HasControlBytes(code)) return std::nullopt;
  Referral referral;
  // A user's name may hold an @, a host's may not.
  const size_t at = code.rfind('@');
  if (at != absl::string_view::npos) {
    referral.user = std::string(code.substr(0, at));
    code.remove_prefix(at + 1);
  }
  if (!ReadPlace(code, &referral)) return std::nullopt;
  return referral;
}

}  // namespace postern::pop3
