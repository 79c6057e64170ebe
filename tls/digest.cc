#include "tls/digest.h"

#include <openssl/err.h>

#include "absl/strings/escaping.h"
#include "proxy/base/check.h"
#include "proxy/base/secret.h"
#include "proxy/base/status_macros.h"
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

absl::StatusOr<std::string> HmacMd5Hex(absl::string_view key, absl::string_view message) {
  constexpr size_t kBlockBytes = 64;
  std::string short_key;
  if (key.size() > kBlockBytes) {
    ASSIGN_OR_RETURN(const std::string hashed, Md5Hex(key, ""));
    short_key = absl::HexStringToBytes(hashed);
    key = short_key;
  }
  char inner[kBlockBytes];
  char outer[kBlockBytes];
  for (size_t i = 0; i < kBlockBytes; ++i) {
    const char byte = i < key.size() ? key[i] : '\0';
    inner[i] = static_cast<char>(byte ^ 0x36);
    outer[i] = static_cast<char>(byte ^ 0x5C);
  }
  absl::StatusOr<std::string> digest = Md5Hex(absl::string_view(inner, kBlockBytes), message);
  if (digest.ok()) {
    digest = Md5Hex(absl::string_view(outer, kBlockBytes), absl::HexStringToBytes(*digest));
  }
  // Either block is as good as the key.
  WipeMemory(inner, sizeof(inner));
  WipeMemory(outer, sizeof(outer));
  WipeMemory(short_key.data(), short_key.size());
  return digest;
}

}  // namespace postern::tls
