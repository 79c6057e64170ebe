// Referrals: what is read is a place, and reads the same when it is written again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/referral.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace postern::pop3;  // NOLINT
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const auto referral = ReadReferral(input);
  if (!referral.has_value()) return 0;
  CHECK(!referral->host.empty());
  CHECK(!HasControlBytes(referral->host) && !HasControlBytes(referral->user));
  CHECK(referral->host.find('@') == std::string::npos);
  if (referral->port == 0) return 0;
  const auto again = ReadReferral(absl::StrCat("-ERR [REFERRAL/", referral->user, "@",
                                               referral->host, ":", referral->port, "]"));
  CHECK(again.has_value() && again->user == referral->user && again->host == referral->host &&
        again->port == referral->port);
  return 0;
}
