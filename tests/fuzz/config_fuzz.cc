// Whatever stands in a configuration file, it is a value or a report, never a crash; and what is
// accepted holds together.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "proxy/base/check.h"
#include "proxy/config/config.h"

namespace postern::config {
namespace {

constexpr char kFile[] = "etc/f.toml";

// Every line of a report names the file and holds nothing that moves the cursor of a terminal.
void CheckReport(absl::string_view report) {
  CHECK(!report.empty());
  for (absl::string_view line : absl::StrSplit(report, '\n')) {
    CHECK(absl::StartsWith(line, kFile));
    for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
}

bool Names(const routing::RouterOptions& options, const routing::RouteOptions& route) {
  for (const auto& pool : options.pools) {
    if (!route.pool.empty() && pool.name == route.pool) return true;
  }
  for (const auto& backend : options.backends) {
    if (!route.backend.empty() && backend.name == route.backend) return true;
  }
  return false;
}

// What the rest of the program takes for granted about an accepted configuration.
void CheckConfig(const Config& config) {
  CHECK(!config.hostname.empty() && config.dialogue.hostname == config.hostname);
  CHECK(!config.listeners.empty());
  for (const Listener& listener : config.listeners) {
    CHECK(!listener.name.empty() && !listener.address.empty());
    CHECK(listener.tls == ListenerTls::kOff || !config.tls.certificates.empty());
    CHECK(listener.tls != ListenerTls::kOff || listener.plaintext_logins);
  }
  CHECK(config.backends.size() == config.routing.backends.size() && !config.backends.empty());
  for (size_t i = 0; i < config.backends.size(); ++i) {
    const Backend& backend = config.backends[i];
    CHECK(!backend.name.empty() && backend.name == config.routing.backends[i].name);
    CHECK(backend.address.is_unix() || (!backend.address.host.empty() && backend.address.port > 0));
    const tls::ClientOptions& tls = backend.tls_options;
    CHECK(backend.tls == UpstreamTls::kOff || tls.insecure || !tls.server_name.empty());
    CHECK(!tls.insecure || tls.ca_file.empty());
    CHECK(backend.login != UpstreamLogin::kMaster ||
          (!backend.master_user.empty() && !backend.master_password_file.empty()));
  }
  for (const auto& pool : config.routing.pools) {
    CHECK(!pool.name.empty() && !pool.backends.empty());
    for (const int index : pool.backends) {
      CHECK(index >= 0 && static_cast<size_t>(index) < config.backends.size());
    }
  }
  CHECK(!config.routing.routes.empty());
  for (const auto& route : config.routing.routes) {
    CHECK((route.map_file.empty() ? 0 : 1) + (route.cdb_file.empty() ? 0 : 1) +
              (route.rules_file.empty() ? 0 : 1) + (route.regex.empty() ? 0 : 1) +
              (route.users.empty() ? 0 : 1) ==
          1);
    CHECK(route.regex.empty() == route.target.empty());
    CHECK(route.users.empty() || Names(config.routing, route));
  }
  CHECK(!config.dialogue.apop || !config.auth.secrets_file.empty());
  CHECK(config.timeouts.login > 0 && config.timeouts.idle > 0 && config.limits.sessions_max > 0);
}

}  // namespace
}  // namespace postern::config

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = postern::config::ParseConfig(text, postern::config::kFile);
  if (config.ok()) {
    postern::config::CheckConfig(*config);
  } else {
    postern::config::CheckReport(config.status().message());
  }
  return 0;
}
