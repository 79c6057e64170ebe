#include "tls/peer_certificate.h"

#include <algorithm>
#include <ctime>
#include <memory>

#include "tls/errors.h"
#include "tls/openssl_types.h"

namespace postern::tls {
namespace {

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslDeleter<GENERAL_NAMES_free>>;

// Empty when it cannot be a name.
std::string TextOf(const ASN1_STRING* value) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, value);
  if (size < 0) return "";
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  const bool clean = std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
  return clean && size <= kCertificateNameBytesMax ? text : "";
}

std::string OnlyEntry(const X509_NAME* subject, int nid) {
  const int at = X509_NAME_get_index_by_NID(subject, nid, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, nid, at) >= 0) return "";
  return TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

std::string OnlyAlternateEmail(const X509* certificate) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string found;
  int count = 0;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    if (type != GEN_EMAIL) continue;
    ++count;
    found = TextOf(static_cast<const ASN1_STRING*>(value));
  }
  return count == 1 ? found : "";
}

}  // namespace

PeerCertificate ReadPeerCertificate(const x509_st* certificate) {
  PeerCertificate peer;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  peer.common_name = OnlyEntry(subject, NID_commonName);
  peer.subject_email = OnlyEntry(subject, NID_pkcs9_emailAddress);
  peer.alternate_email = OnlyAlternateEmail(certificate);
  std::tm ends = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &ends) == 1) {
    peer.not_after_unix = timegm(&ends);
  }
  ClearErrors();
  return peer;
}

}  // namespace postern::tls
