#include "tls/digest.h"

#include <openssl/err.h>

#include "absl/strings/escaping.h"
#include "proxy/base/check.h"
#include "tls/openssl_types.h"

namespace postern::tls {

absl::StatusOr<std::string> Md5Hex(absl::string_view a, absl::string_view b) {
  // "-fips" lifts a system-wide preference for approved algorithms, for this fetch only.
  DigestPtr md5(EVP_MD_fetch(nullptr, "MD5", "-fips"));
  if (md5 == nullptr) {
    ERR_clear_error();
    return absl::UnavailableError("this system's OpenSSL offers no MD5");
  }
  DigestContextPtr context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_DigestInit_ex2(context.get(), md5.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), a.data(), a.size()) != 1 ||
      EVP_DigestUpdate(context.get(), b.data(), b.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest, &size) != 1) {
    ERR_clear_error();
    return absl::UnavailableError("this system's OpenSSL refuses to compute MD5");
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace postern::tls
