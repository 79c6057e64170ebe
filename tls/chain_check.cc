// Whether clients can follow a certificate up to a CA.
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tls/certificate_files.h"
#include "tls/context.h"
#include "tls/errors.h"
#include "tls/library.h"
#include "tls/openssl_types.h"

namespace postern::tls {
namespace {

using StorePtr = std::unique_ptr<X509_STORE, OpenSslDeleter<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpenSslDeleter<X509_STORE_CTX_free>>;

}  // namespace

std::string ServerContext::ChainTrouble(const CertificateFiles& files, Library* library) {
  OSSL_LIB_CTX* const in = library->impl_->context;
  std::vector<std::string> warnings;
  const absl::StatusOr<LoadedCertificate> loaded = LoadCertificate(files, in, &warnings);
  if (!loaded.ok()) return "";
  const StorePtr store(X509_STORE_new());
  const StoreContextPtr context(X509_STORE_CTX_new_ex(in, nullptr));
  if (store == nullptr || context == nullptr) return "";
  X509_STORE_set_default_paths_ex(store.get(), in, nullptr);
  X509_STORE_CTX_init(context.get(), store.get(), loaded->leaf.get(), loaded->intermediates.get());
  X509_STORE_CTX_set_default(context.get(), "ssl_server");
  const bool good = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  ClearErrors();
  if (good) return "";
  return absl::StrCat("clients that trust what this system trusts do not accept it: ",
                      X509_verify_cert_error_string(error));
}

}  // namespace postern::tls
