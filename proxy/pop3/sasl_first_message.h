// The first message of SASL mechanisms that we carry to the backend without taking part: all we
// want of it is whose it is.
#ifndef POSTERN_PROXY_POP3_SASL_FIRST_MESSAGE_H_
#define POSTERN_PROXY_POP3_SASL_FIRST_MESSAGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proxy/pop3/mechanism.h"

namespace postern::pop3 {

enum class FirstMessage {
  kGood,
  kMalformed,
  kForeign,  // it asks to act for somebody else, which is for master users
};

// Reads the user out of `message` (decoded) of a carried mechanism:
//   SCRAM (RFC 5802):        n,[a=user],n=user,r=nonce     without channel binding
//   OAUTHBEARER (RFC 7628):  n,a=user,^Aauth=Bearer ...^A^A
//   XOAUTH2 (Google's):      user=user^Aauth=Bearer ...^A^A
// Control bytes are refused but for the separators; so is an OAUTHBEARER message without a name,
// which RFC 7628 allows and which nobody could route.
FirstMessage ReadFirstMessage(Mechanism mechanism, absl::string_view message, std::string* user);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_SASL_FIRST_MESSAGE_H_
