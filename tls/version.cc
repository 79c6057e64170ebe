#include "tls/version.h"

#include <openssl/crypto.h>

namespace postern::tls {

std::string LibraryVersion() { return OpenSSL_version(OPENSSL_VERSION); }

}  // namespace postern::tls
