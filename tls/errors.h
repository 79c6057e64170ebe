// OpenSSL's error queue in words. Internal to tls/.
#ifndef POSTERN_TLS_ERRORS_H_
#define POSTERN_TLS_ERRORS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "tls/openssl_types.h"

namespace postern::tls {

struct Failure {
  absl::string_view word;  // one of kErrorWords
  std::string sentence;    // static text only: nothing a peer wrote
};

// Why the last call on `ssl` broke, from the error queue of this thread, which is not changed.
Failure DescribeFailure(const SSL* ssl);

// The first entry of the queue, for errors while loading files; empties the queue.
std::string TakeErrorText();

// Empties the queue, cheaply when it is empty already: what one connection left there must never
// be taken for the error of another.
void ClearErrors();

}  // namespace postern::tls

#endif  // POSTERN_TLS_ERRORS_H_
