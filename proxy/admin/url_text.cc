#include "proxy/admin/url_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace postern::admin {

std::string UrlText(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      escaped += c;
    } else {
      absl::StrAppendFormat(&escaped, "%%%02X", byte);
    }
  }
  return escaped;
}

}  // namespace postern::admin
