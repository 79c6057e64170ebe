#include "proxy/repeated_secret.h"

#include <algorithm>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/secret.h"
#include "proxy/pop3/sasl.h"

namespace postern {
namespace {

// So much of something long tells that it was repeated, in part or whole.
constexpr size_t kTellingBytes = 16;

bool Holds(absl::string_view line, absl::string_view part) {
  const auto same = [](char a, char b) {
    return absl::ascii_tolower(static_cast<unsigned char>(a)) ==
           absl::ascii_tolower(static_cast<unsigned char>(b));
  };
  return !part.empty() &&
         std::search(line.begin(), line.end(), part.begin(), part.end(), same) != line.end();
}

// What stands behind `name` in a decoded message, up to `end` or its own.
absl::string_view ValueOf(absl::string_view message, absl::string_view name, char end) {
  const size_t at = message.find(name);
  if (at == absl::string_view::npos) return "";
  const absl::string_view value = message.substr(at + name.size());
  return value.substr(0, std::min(value.find(end), kTellingBytes));
}

// A message of a carried exchange: as it was sent, its token (RFC 7628 section 3.1) or its proof
// (RFC 5802 section 7).
bool HoldsMessage(absl::string_view line, absl::string_view base64) {
  if (Holds(line, base64.substr(0, kTellingBytes))) return true;
  const absl::StatusOr<Secret> message = pop3::DecodeBase64(base64);
  if (!message.ok()) return false;
  return Holds(line, ValueOf(message->view(), "auth=Bearer ", '\x01')) ||
         Holds(line, ValueOf(message->view(), ",p=", ','));
}

}  // namespace

bool RepeatsSecret(const UpstreamAttempt& attempt, absl::string_view line) {
  if (!attempt.apop_digest.empty()) return Holds(line, attempt.apop_digest);
  if (!attempt.sasl_message.empty()) {
    return HoldsMessage(line, attempt.sasl_message) || HoldsMessage(line, attempt.sasl_response);
  }
  // The first letters tell a command that was repeated in part.
  constexpr size_t kLetters = 4;
  const std::string pass = absl::StrCat("PASS ", attempt.password.substr(0, kLetters));
  const Secret plain = pop3::EncodePlain(attempt.authorization_id, attempt.user, attempt.password);
  return Holds(line, attempt.password) || Holds(line, pass) ||
         Holds(line, plain.view().substr(0, 8));
}

}  // namespace postern
