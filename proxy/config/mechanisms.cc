// Whether every backend that users can reach takes the mechanisms that clients are offered.
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/reachable.h"
#include "proxy/pop3/mechanism.h"

namespace postern::config {
namespace {

bool ProvesByCertificate(const Backend& backend) {
  return backend.login == UpstreamLogin::kMaster || backend.login == UpstreamLogin::kSecret;
}

void ValidateExternal(const Draft& draft, Position position, const std::vector<size_t>& reachable,
                      Diagnostics* diagnostics) {
  const bool asked = std::any_of(
      draft.listeners.begin(), draft.listeners.end(),
      [](const ListenerDraft& listener) { return listener.client_certificate.written; });
  if (!asked) {
    diagnostics->Add(position,
                     "mechanism \"external\" is for clients with a certificate, and no listener "
                     "asks for one; write client_certificate = \"optional\" and client_ca at a "
                     "[[listener]], or remove the mechanism");
  }
  for (const size_t i : reachable) {
    const Backend& backend = draft.config.backends[i];
    if (ProvesByCertificate(backend)) continue;
    diagnostics->Add(
        position, absl::StrCat("mechanism \"external\" shows us no password, and \"", backend.name,
                               "\" wants one; set login = \"master\" or \"secret\" there, or "
                               "remove the mechanism"));
    return;
  }
}

}  // namespace

void ValidateMechanisms(const Draft& draft, Diagnostics* diagnostics) {
  const std::vector<size_t> reachable = ReachableBackends(draft.config);
  for (const auto& [mechanism, position] : draft.mechanisms) {
    const bool digest =
        mechanism == pop3::Mechanism::kCramMd5 || mechanism == pop3::Mechanism::kDigestMd5;
    if (digest && !draft.secrets_written && !LookupsJudgeDigests(draft)) {
      diagnostics->Add(
          position, absl::StrCat("mechanism \"", pop3::InfoOf(mechanism).word,
                                 "\" needs the users' secrets to verify against; write secrets = "
                                 "\"/etc/postern/secrets\", or remove the mechanism"));
    }
#ifndef POSTERN_DIGEST_MD5
    if (mechanism == pop3::Mechanism::kDigestMd5) {
      diagnostics->Add(position,
                       "this postern was built without GNU SASL; build it with "
                       "POSTERN_DIGEST_MD5, or remove the mechanism");
    }
#endif
    if (mechanism == pop3::Mechanism::kExternal) {
      ValidateExternal(draft, position, reachable, diagnostics);
    }
    if (!pop3::InfoOf(mechanism).carried) continue;
    for (const size_t i : reachable) {
      const Backend& backend = draft.config.backends[i];
      if (backend.login == UpstreamLogin::kSasl) continue;
      diagnostics->Add(
          position,
          absl::StrCat("mechanism \"", pop3::InfoOf(mechanism).word,
                       "\" shows us no password, so every backend must take the client's own "
                       "exchange, and \"",
                       backend.name,
                       "\" does not; set login = \"sasl\" there, or remove the "
                       "mechanism"));
      break;
    }
  }
}

}  // namespace postern::config
