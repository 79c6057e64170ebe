// The keys of a listener about its clients' certificates.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"

namespace postern::config {

void ParseClientCertificates(TableReader* reader, const std::string& file_name,
                             ListenerDraft* listener) {
  ReadSetting(*reader, "client_certificate", &listener->client_certificate,
              [&](tls::ClientCertificate* out) {
                return reader->Word<tls::ClientCertificate>(
                    "client_certificate",
                    {{"optional", tls::ClientCertificate::kOptional},
                     {"required", tls::ClientCertificate::kRequired}},
                    out);
              });
  ReadSetting(*reader, "client_ca", &listener->client_ca,
              [&](std::string* out) { return reader->String("client_ca", out); });
  if (listener->client_ca.good) {
    listener->client_ca.value = ResolvePath(file_name, listener->client_ca.value);
  }
  ReadSetting(*reader, "certificate_user", &listener->certificate_user, [&](CertificateUser* out) {
    return reader->Word<CertificateUser>("certificate_user",
                                         {{"cn", CertificateUser::kCommonName},
                                          {"email", CertificateUser::kSubjectEmail},
                                          {"san-email", CertificateUser::kAlternateEmail}},
                                         out);
  });
}

void ValidateClientCertificates(ListenerDraft* listener, Diagnostics* diagnostics) {
  const Setting<tls::ClientCertificate>& wanted = listener->client_certificate;
  const Setting<std::string>& ca = listener->client_ca;
  if (wanted.written && !ca.written) {
    diagnostics->Add(wanted.position,
                     "client_certificate needs to know who may sign them; write client_ca = "
                     "\"client-ca.pem\"");
  }
  if (wanted.good && listener->tls.value == ListenerTls::kOff) {
    diagnostics->Add(wanted.position,
                     "client_certificate means nothing where tls = \"off\": certificates are shown "
                     "in a TLS handshake; remove it, or use tls = \"implicit\" or \"stls\"");
  }
  const auto useless = [&](absl::string_view key, Position where) {
    diagnostics->Add(where, absl::StrCat(key,
                                         " means nothing without client_certificate; write "
                                         "client_certificate = \"optional\", or remove this"));
  };
  if (!wanted.written && ca.written) useless("client_ca", ca.position);
  if (!wanted.written && listener->certificate_user.written) {
    useless("certificate_user", listener->certificate_user.position);
  }
  listener->value.client_certificate = wanted.value;
  listener->value.client_ca = ca.value;
  listener->value.certificate_user = listener->certificate_user.value;
}

}  // namespace postern::config
