// Whether every backend that users can reach takes the mechanisms that clients are offered.
#include <set>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/pop3/mechanism.h"

namespace postern::config {
namespace {

// Indices of the backends that some route leads to. Maps, databases and rules may name any.
std::set<size_t> Reachable(const Config& config) {
  std::set<size_t> reachable;
  for (const routing::RouteOptions& route : config.routing.routes) {
    const bool anybody = route.users.empty();
    for (size_t i = 0; i < config.backends.size(); ++i) {
      if (anybody || config.backends[i].name == route.backend) reachable.insert(i);
    }
    for (const routing::PoolOptions& pool : config.routing.pools) {
      if (route.pool.empty() || pool.name != route.pool) continue;
      for (const int backend : pool.backends) reachable.insert(static_cast<size_t>(backend));
    }
  }
  return reachable;
}

}  // namespace

void ValidateMechanisms(const Draft& draft, Diagnostics* diagnostics) {
  const std::set<size_t> reachable = Reachable(draft.config);
  for (const auto& [mechanism, position] : draft.mechanisms) {
    if (mechanism == pop3::Mechanism::kCramMd5 && !draft.secrets_written &&
        !LookupsJudgeDigests(draft)) {
      diagnostics->Add(position,
                       "mechanism \"cram-md5\" needs the users' secrets to verify against; write "
                       "secrets = \"/etc/postern/secrets\", or remove the mechanism");
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
