// Which OpenSSL runs, as it names itself ("OpenSSL 3.0.22 ...").
#ifndef POSTERN_TLS_VERSION_H_
#define POSTERN_TLS_VERSION_H_

#include <string>

namespace postern::tls {

std::string LibraryVersion();

}  // namespace postern::tls

#endif  // POSTERN_TLS_VERSION_H_
