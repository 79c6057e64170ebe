// The page at "/": one file of HTML, style and script, no outside resource. It asks /api/v1/status
// every 2 seconds and draws what it gets as text, never as markup.
#ifndef POSTERN_PROXY_ADMIN_STATUS_PAGE_H_
#define POSTERN_PROXY_ADMIN_STATUS_PAGE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace postern::admin {

// `nonce` goes into the style and script elements; the Content-Security-Policy names the same one.
// It must be letters and digits.
std::string StatusPage(absl::string_view nonce);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_STATUS_PAGE_H_
