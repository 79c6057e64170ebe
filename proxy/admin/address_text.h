// Addresses of the configuration, as they are written there.
#ifndef POSTERN_PROXY_ADMIN_ADDRESS_TEXT_H_
#define POSTERN_PROXY_ADMIN_ADDRESS_TEXT_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/base/socket_address.h"

namespace postern::admin {

// "mail1.example.net:110", "[2001:db8::1]:110" or "unix:/run/pop3.sock".
inline std::string AddressText(const HostPort& address) {
  if (address.is_unix()) return absl::StrCat("unix:", address.unix_path);
  const bool v6 = address.host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]" : "", ":", address.port);
}

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_ADDRESS_TEXT_H_
