#include "tls/policy.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/base/check.h"
#include "proxy/base/status_macros.h"
#include "tls/engine_bio.h"
#include "tls/errors.h"

namespace postern::tls {
namespace {

absl::Status BadList(absl::string_view what, absl::string_view list, absl::string_view example) {
  return absl::InvalidArgumentError(absl::StrCat("OpenSSL knows none of the ", what, " in \"", list,
                                                 "\" (", TakeErrorText(),
                                                 "); remove the option or "
                                                 "write a list like \"",
                                                 example, "\""));
}

// Forward secrecy and authenticated encryption are no option: a cipher without them would let the
// passwords of years be read with one stolen key.
absl::Status CheckCiphers(const SSL_CTX* context) {
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    const int exchange = SSL_CIPHER_get_kx_nid(cipher);
    const bool ephemeral = exchange == NID_kx_ecdhe || exchange == NID_kx_any;
    const int proof = SSL_CIPHER_get_auth_nid(cipher);
    const bool certified =
        proof == NID_auth_rsa || proof == NID_auth_ecdsa || proof == NID_auth_any;
    if (ephemeral && certified && SSL_CIPHER_is_aead(cipher) == 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the TLS 1.2 cipher ", SSL_CIPHER_get_name(cipher),
                     " has no forward secrecy or no authenticated encryption; use ciphers whose "
                     "names begin with ECDHE and contain GCM or CHACHA20, such as \"",
                     kCiphers, "\""));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SslContextPtr> NewSslContext(OSSL_LIB_CTX* library, const Policy& policy) {
  SslContextPtr context(SSL_CTX_new_ex(
      library, nullptr, policy.is_server ? TLS_server_method() : TLS_client_method()));
  CHECK(context != nullptr);
  SSL_CTX* const raw = context.get();
  const int version_min = policy.version_min == Version::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  CHECK(SSL_CTX_set_min_proto_version(raw, version_min) == 1);
  // 0: whatever OpenSSL has.
  const int version_max = policy.version_max == Version::kTls13 ? 0 : TLS1_2_VERSION;
  CHECK(SSL_CTX_set_max_proto_version(raw, version_max) == 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Nothing is remembered here: servers resume from tickets only, clients not at all.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  CHECK(SSL_CTX_set_max_early_data(raw, 0) == 1);
  SSL_CTX_set_msg_callback(raw, EngineBio::OnMessage);

  const std::string ciphers(policy.ciphers.empty() ? absl::string_view(kCiphers) : policy.ciphers);
  if (SSL_CTX_set_cipher_list(raw, ciphers.c_str()) != 1) {
    return BadList("TLS 1.2 ciphers", ciphers, kCiphers);
  }
  RETURN_IF_ERROR(CheckCiphers(raw));
  const std::string suites(policy.ciphersuites.empty() ? absl::string_view(kCiphersuites)
                                                       : policy.ciphersuites);
  if (SSL_CTX_set_ciphersuites(raw, suites.c_str()) != 1) {
    return BadList("TLS 1.3 cipher suites", suites, kCiphersuites);
  }
  const std::string groups(policy.groups.empty() ? absl::string_view(kGroups) : policy.groups);
  if (SSL_CTX_set1_groups_list(raw, groups.c_str()) != 1) {
    return BadList("key exchange groups", groups, kGroups);
  }
  ClearErrors();
  return context;
}

}  // namespace postern::tls
