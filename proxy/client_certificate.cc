// Clients that say who they are by a certificate.
#include <memory>
#include <optional>
#include <utility>

#include "proxy/session.h"

namespace postern {
namespace {

const std::string& UserOf(const tls::PeerCertificate& certificate, config::CertificateUser field) {
  switch (field) {
    case config::CertificateUser::kSubjectEmail:
      return certificate.subject_email;
    case config::CertificateUser::kAlternateEmail:
      return certificate.alternate_email;
    case config::CertificateUser::kCommonName:
      break;
  }
  return certificate.common_name;
}

}  // namespace

void Session::TakeCertificate() {
  if (listener().client_certificate == tls::ClientCertificate::kNone) return;
  if (client_.tls() == nullptr || !client_.tls()->handshake_done()) return;
  std::optional<tls::PeerCertificate> shown = client_.tls()->peer_certificate();
  if (!shown.has_value() || !shown->verified) return;
  certificate_ = std::make_unique<tls::PeerCertificate>(*std::move(shown));
  dialogue_->SetCertificateUser(UserOf(*certificate_, listener().certificate_user));
}

// What a neighbour has told of the client's TLS is not about ours, nor about its certificate.
void Session::DescribeCertificate(routing::LookupQuestion* question) const {
  if (listener().client_certificate == tls::ClientCertificate::kNone) return;
  if (neighbour_ != nullptr && neighbour_->told_tls) return;
  if (client_.tls() == nullptr || !client_.tls()->handshake_done()) return;
  routing::LookupCertificate& certificate = question->certificate;
  certificate.wanted = true;
  if (certificate_ == nullptr) return;
  std::optional<tls::CertificateDetails> details = client_.tls()->peer_certificate_details();
  if (!details.has_value()) return;
  certificate.subject = std::move(details->subject);
  certificate.issuer = std::move(details->issuer);
  certificate.serial = std::move(details->serial);
  certificate.fingerprint = std::move(details->fingerprint);
  certificate.pem = std::move(details->pem);
}

// A master user logs everybody in; elsewhere the user's stored secret does, where there is one.
bool Session::CertificateOpens(const routing::Decision& route, absl::string_view* password) const {
  const Secret* secret =
      snapshot_->shared->secrets == nullptr ? nullptr : snapshot_->shared->secrets->Find(user_);
  for (int i = 0; i < route.candidate_count; ++i) {
    const auto backend = static_cast<size_t>(route.candidates[static_cast<size_t>(i)]);
    const config::UpstreamLogin login = config().backends[backend].login;
    if (login == config::UpstreamLogin::kMaster) continue;
    if (login != config::UpstreamLogin::kSecret || secret == nullptr) return false;
  }
  if (secret != nullptr) *password = secret->view();
  return true;
}

}  // namespace postern
