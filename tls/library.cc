#include "tls/library.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <mutex>

#include "proxy/base/check.h"

namespace postern::tls {

Library::Library() : impl_(std::make_unique<Impl>()) {
  static std::once_flag once;
  std::call_once(once, [] { CHECK(OPENSSL_init_ssl(0, nullptr) == 1); });
  impl_->context = OSSL_LIB_CTX_new();
  CHECK(impl_->context != nullptr);
  // Built into libcrypto: it is missing only when memory is.
  impl_->provider = OSSL_PROVIDER_load(impl_->context, "default");
  CHECK(impl_->provider != nullptr);
  // The first random byte seeds the generators of this context (from getrandom); better now than
  // inside the first handshake, or after a sandbox has closed.
  unsigned char byte;
  CHECK(RAND_bytes_ex(impl_->context, &byte, 1, 0) == 1);
  ERR_clear_error();
}

Library::~Library() {
  OSSL_PROVIDER_unload(impl_->provider);
  OSSL_LIB_CTX_free(impl_->context);
}

}  // namespace postern::tls
