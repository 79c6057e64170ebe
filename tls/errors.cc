#include "tls/errors.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "absl/strings/str_cat.h"

namespace postern::tls {
namespace {

absl::string_view StaticText(const char* text, absl::string_view otherwise) {
  return text == nullptr ? otherwise : absl::string_view(text);
}

absl::string_view VerifyWord(long verify_result) {
  switch (verify_result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "certificate_expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "certificate_not_yet_valid";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "certificate_name";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "self_signed";
    // A root nobody here trusts, sent along or not.
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      return "unknown_ca";
    default:
      return "certificate";
  }
}

absl::string_view ReasonWord(int reason) {
  switch (reason) {
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return "alpn";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_AVAILABLE:
    case SSL_R_UNKNOWN_CIPHER_RETURNED:
    case SSL_R_WRONG_CIPHER_RETURNED:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
      return "no_shared_cipher";
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_BAD_KEY_SHARE:
      return "no_shared_group";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_UNKNOWN_SSL_VERSION:
      return "version";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "certificate";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return "plaintext_http";
    default:
      return "protocol";
  }
}

}  // namespace

Failure DescribeFailure(const SSL* ssl) {
  const unsigned long code = ERR_peek_error();
  if (code == 0) return {"protocol", "the connection is broken"};
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
    return {"protocol", std::string(StaticText(ERR_reason_error_string(code), "crypto error"))};
  }
  const int reason = ERR_GET_REASON(code);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const long result = SSL_get_verify_result(ssl);
    return {VerifyWord(result), absl::StrCat("the certificate was not accepted: ",
                                             X509_verify_cert_error_string(result))};
  }
  if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
    const int alert = reason - SSL_AD_REASON_OFFSET;
    return {alert == SSL_AD_PROTOCOL_VERSION ? "version" : "alert_received",
            absl::StrCat("the peer sent the alert \"", SSL_alert_desc_string_long(alert), "\" (",
                         alert, ")")};
  }
  return {ReasonWord(reason), std::string(StaticText(ERR_reason_error_string(code), "TLS error"))};
}

std::string TakeErrorText() {
  const unsigned long code = ERR_peek_error();
  std::string text(StaticText(code == 0 ? nullptr : ERR_reason_error_string(code), "unknown"));
  ERR_clear_error();
  return text;
}

void ClearErrors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace postern::tls
