// What is a host name.
#ifndef POSTERN_PROXY_BASE_DNS_NAME_H_
#define POSTERN_PROXY_BASE_DNS_NAME_H_

#include "absl/strings/string_view.h"

namespace postern {

// A DNS name in ASCII without a trailing dot (RFC 1123 section 2.1): labels of 1 to 63 letters,
// digits and inner hyphens, at most 253 characters. An IPv4 address is not one.
bool IsDnsName(absl::string_view text);

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_DNS_NAME_H_
