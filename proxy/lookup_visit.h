// What a session keeps of the lookups that its login asked.
#ifndef POSTERN_PROXY_LOOKUP_VISIT_H_
#define POSTERN_PROXY_LOOKUP_VISIT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/address_book.h"
#include "proxy/base/secret.h"
#include "proxy/base/time.h"
#include "routing/lookup/answer_cache.h"

namespace postern {

// Of one login attempt. Worker thread only.
struct LookupVisit {
  absl::string_view name;          // of the lookup that was asked last; lives in the configuration
  size_t number = 0;               // of that lookup in the configuration
  routing::AnswerPtr answer;       // holds what the views below point to
  bool judged = false;             // the credentials are good
  absl::string_view login_user;    // as whom to log in upstream; empty: as the user
  const Secret* secret = nullptr;  // with which password; null: the client's
  AddressList addresses;           // a server that no backend names; null: as the route says
  std::string words;               // of [SYS/TEMP], with CRLF; empty: ours
  TimeNs refuse_at = 0;            // a refusal is not told before
  DurationNs waited = 0;           // because a service wanted to be asked again

  // The login is over.
  void Wipe() {
    login_user = {};
    secret = nullptr;
    answer = nullptr;
  }
};

}  // namespace postern

#endif  // POSTERN_PROXY_LOOKUP_VISIT_H_
