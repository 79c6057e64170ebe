#include "proxy/repeated_secret.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/secret.h"
#include "proxy/pop3/sasl.h"

namespace postern {

bool RepeatsSecret(const UpstreamAttempt& attempt, absl::string_view line) {
  const auto holds = [line](absl::string_view part) {
    const auto same = [](char a, char b) {
      return absl::ascii_tolower(static_cast<unsigned char>(a)) ==
             absl::ascii_tolower(static_cast<unsigned char>(b));
    };
    return std::search(line.begin(), line.end(), part.begin(), part.end(), same) != line.end();
  };
  if (!attempt.apop_digest.empty()) return holds(attempt.apop_digest);
  // The first letters tell a command that was repeated in part.
  constexpr size_t kTellingBytes = 4;
  const std::string pass = absl::StrCat("PASS ", attempt.password.substr(0, kTellingBytes));
  const Secret plain = pop3::EncodePlain(attempt.authorization_id, attempt.user, attempt.password);
  return holds(attempt.password) || holds(pass) || holds(plain.view().substr(0, 8));
}

}  // namespace postern
