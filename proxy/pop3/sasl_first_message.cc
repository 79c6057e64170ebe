#include "proxy/pop3/sasl_first_message.h"

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "proxy/base/check.h"
#include "proxy/pop3/command.h"

namespace postern::pop3 {
namespace {

constexpr char kSeparator = '\x01';

// Everything up to `end`, which is taken away too.
bool TakeUpTo(char end, absl::string_view* rest, absl::string_view* taken) {
  const size_t at = rest->find(end);
  if (at == absl::string_view::npos) return false;
  *taken = rest->substr(0, at);
  rest->remove_prefix(at + 1);
  return true;
}

// RFC 5802 section 5.1: ',' and '=' in a name are written "=2C" and "=3D".
bool DecodeName(absl::string_view text, std::string* name) {
  name->clear();
  while (!text.empty()) {
    if (absl::ConsumePrefix(&text, "=2C")) {
      *name += ',';
    } else if (absl::ConsumePrefix(&text, "=3D")) {
      *name += '=';
    } else if (text.front() == '=') {
      return false;
    } else {
      *name += text.front();
      text.remove_prefix(1);
    }
  }
  return !name->empty() && !HasControlBytes(*name);
}

// "n,," or "n,a=name,"; the name is empty without one. Channel binding is between the client and
// us, so that the backend could not check it: we offer no -PLUS mechanism.
bool TakeGs2Header(absl::string_view* rest, std::string* name) {
  if (!absl::ConsumePrefix(rest, "n,") && !absl::ConsumePrefix(rest, "y,")) return false;
  absl::string_view authorization;
  if (!TakeUpTo(',', rest, &authorization)) return false;
  name->clear();
  if (authorization.empty()) return true;
  return absl::ConsumePrefix(&authorization, "a=") && DecodeName(authorization, name);
}

FirstMessage ReadScram(absl::string_view message, std::string* user) {
  if (HasControlBytes(message)) return FirstMessage::kMalformed;
  std::string authorization;
  absl::string_view name;
  if (!TakeGs2Header(&message, &authorization) || !absl::ConsumePrefix(&message, "n=") ||
      !TakeUpTo(',', &message, &name) || !DecodeName(name, user)) {
    return FirstMessage::kMalformed;
  }
  if (!absl::ConsumePrefix(&message, "r=") || message.empty() || message.front() == ',') {
    return FirstMessage::kMalformed;
  }
  if (!authorization.empty() && authorization != *user) return FirstMessage::kForeign;
  return FirstMessage::kGood;
}

// "key=value^A" as often as you like, then "^A"; among them a bearer token.
bool IsBearer(absl::string_view rest) {
  bool token = false;
  absl::string_view pair;
  while (TakeUpTo(kSeparator, &rest, &pair)) {
    if (pair.empty()) return token && rest.empty();
    if (HasControlBytes(pair) || pair.find('=') == absl::string_view::npos) return false;
    if (!absl::ConsumePrefix(&pair, "auth=")) continue;
    token = absl::StartsWithIgnoreCase(pair, "Bearer ") && pair.size() > 7;
    if (!token) return false;
  }
  return false;
}

FirstMessage ReadOauthbearer(absl::string_view message, std::string* user) {
  const bool good = TakeGs2Header(&message, user) && !user->empty() && !message.empty() &&
                    message.front() == kSeparator;
  if (!good) return FirstMessage::kMalformed;
  return IsBearer(message.substr(1)) ? FirstMessage::kGood : FirstMessage::kMalformed;
}

FirstMessage ReadXoauth2(absl::string_view message, std::string* user) {
  absl::string_view name;
  if (!absl::ConsumePrefix(&message, "user=") || !TakeUpTo(kSeparator, &message, &name) ||
      name.empty() || HasControlBytes(name) || !IsBearer(message)) {
    return FirstMessage::kMalformed;
  }
  *user = std::string(name);
  return FirstMessage::kGood;
}

}  // namespace

FirstMessage ReadFirstMessage(Mechanism mechanism, absl::string_view message, std::string* user) {
  switch (mechanism) {
    case Mechanism::kScramSha1:
    case Mechanism::kScramSha256:
      return ReadScram(message, user);
    case Mechanism::kOauthbearer:
      return ReadOauthbearer(message, user);
    case Mechanism::kXoauth2:
      return ReadXoauth2(message, user);
    case Mechanism::kPlain:
    case Mechanism::kLogin:
    case Mechanism::kCramMd5:
    case Mechanism::kDigestMd5:
    case Mechanism::kExternal:
      break;
  }
  CHECK(false);
}

}  // namespace postern::pop3
