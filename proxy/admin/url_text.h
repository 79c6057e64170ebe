// Text inside the query of a URL.
#ifndef POSTERN_PROXY_ADMIN_URL_TEXT_H_
#define POSTERN_PROXY_ADMIN_URL_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace postern::admin {

// RFC 3986 section 2.1: everything but unreserved characters as %XX.
std::string UrlText(absl::string_view text);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_URL_TEXT_H_
