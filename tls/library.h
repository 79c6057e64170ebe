// The inside of tls::Library. Internal to tls/.
#ifndef POSTERN_TLS_LIBRARY_H_
#define POSTERN_TLS_LIBRARY_H_

#include "tls/context.h"
#include "tls/openssl_types.h"

namespace postern::tls {

struct Library::Impl {
  OSSL_LIB_CTX* context = nullptr;
  OSSL_PROVIDER* provider = nullptr;
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_LIBRARY_H_
