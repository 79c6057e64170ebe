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
