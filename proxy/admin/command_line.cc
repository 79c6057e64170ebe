#include "proxy/admin/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "metrics/registry.h"
#include "proxy/admin/lookup_asker.h"
#include "proxy/admin/moved_to.h"
#include "proxy/admin/operator_verbs.h"
#include "proxy/admin/serve.h"
#include "proxy/admin/service_verbs.h"
#include "proxy/base/escape.h"
#include "proxy/config/config.h"
#include "proxy/config/secrets.h"
#include "proxy/router_loader.h"
#include "proxy/snapshot_builder.h"
#include "proxy/state_file.h"
#include "proxy/version.h"
#include "tls/version.h"

namespace postern::admin {
namespace {

constexpr char kDefaultConfig[] = "/etc/postern/postern.toml";

int Complain(const absl::Status& status) {
  const std::string text(status.message());
  std::fprintf(stderr, "%s%s", text.c_str(), absl::EndsWith(text, "\n") ? "" : "\n");
  return 1;
}

// Everything `serve` would read, without opening a port: the configuration, maps, secrets and
// certificates.
absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> LoadEverything(const std::string& file,
                                                                     tls::Library* library) {
  absl::StatusOr<config::Config> config = config::LoadConfig(file);
  if (!config.ok()) return config.status();
  metrics::Registry registry;
  absl::StatusOr<std::shared_ptr<Snapshot>> snapshot =
      BuildSnapshot(*std::move(config), &registry, 1);
  if (!snapshot.ok()) return snapshot.status();
  return BuildWorkerSnapshot(*std::move(snapshot), library, nullptr);
}

int Check(const std::string& file) {
  tls::Library library;
  const absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> loaded =
      LoadEverything(file, &library);
  if (!loaded.ok()) return Complain(loaded.status());
  const Snapshot& snapshot = *(*loaded)->shared;
  const std::string& state_file = snapshot.config.admin.state_file;
  if (!state_file.empty()) {
    const absl::StatusOr<SavedState> saved = LoadStateFile(state_file);
    if (!saved.ok()) return Complain(saved.status());
  }
  std::printf("%s: good\n", file.c_str());
  std::printf("  %zu listeners, %zu pools, %zu backends, %zu routes, %zu mapped users\n",
              snapshot.config.listeners.size(), snapshot.config.routing.pools.size(),
              snapshot.config.backends.size(), snapshot.config.routing.routes.size(),
              snapshot.router->mapped_users());
  if ((*loaded)->server_tls == nullptr) return 0;
  for (const tls::CertificateInfo& info : (*loaded)->server_tls->certificates()) {
    const absl::Time expiry = absl::FromUnixSeconds(info.not_after_unix);
    std::string names;
    for (const std::string& name : info.names) {
      absl::StrAppend(&names, names.empty() ? "" : ", ", name);
    }
    std::printf("  certificate %s: %s, %s, until %s\n", info.file.c_str(), names.c_str(),
                info.key_kind.c_str(),
                absl::FormatTime("%Y-%m-%d", expiry, absl::UTCTimeZone()).c_str());
  }
  for (const std::string& warning : (*loaded)->server_tls->warnings()) {
    std::printf("  warning: %s\n", warning.c_str());
  }
  return 0;
}

int BackendIndex(const config::Config& config, const std::string& name) {
  for (size_t i = 0; i < config.backends.size(); ++i) {
    if (config.backends[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

int Route(const std::string& file, const std::string& user, const std::string& password_file) {
  const absl::StatusOr<config::Config> config = config::LoadConfig(file);
  if (!config.ok()) return Complain(config.status());
  const absl::StatusOr<std::shared_ptr<const routing::Router>> router = LoadRouter(config->routing);
  if (!router.ok()) return Complain(router.status());
  Secret password;
  if (!password_file.empty()) {
    absl::StatusOr<Secret> read = config::ReadPasswordFile(password_file);
    if (!read.ok()) return Complain(read.status());
    password = *std::move(read);
  }
  routing::ExplainedEnd end;
  const std::string text = (*router)->Explain(user, LookupAsker(*config, password), &end);
  std::printf("%s", text.c_str());
  const absl::StatusOr<std::string> name = (*router)->NormaliseUser(user);
  if (!name.ok()) return 1;
  int target = end.backend;
  const absl::StatusOr<std::string> moved = MovedTo(*config, *name);
  if (!moved.ok()) return Complain(moved.status());
  if (!moved->empty()) {
    std::printf("moved      to backend %s by an operator, whatever the routes say\n",
                EscapeForLog(*moved).c_str());
    target = BackendIndex(*config, *moved);
    if (target < 0) {
      std::printf("result     it is not in the configuration; the client is told [SYS/TEMP]\n");
    }
  }
  if (target < 0) return 1;
  const config::Backend& backend = config->backends[static_cast<size_t>(target)];
  const char* tls = backend.tls == config::UpstreamTls::kOff        ? "plain"
                    : backend.tls == config::UpstreamTls::kImplicit ? "implicit TLS"
                                                                    : "STLS";
  const bool master = backend.login == config::UpstreamLogin::kMaster;
  const std::string address = backend.address.is_unix()
                                  ? "unix:" + backend.address.unix_path
                                  : absl::StrCat(backend.address.host, ":", backend.address.port);
  std::printf(
      "login      at %s, %s, %s\n",
      end.address.empty()
          ? address.c_str()
          : absl::StrCat(end.address, " with the settings of backend ", backend.name).c_str(),
      tls, master ? "as a master user (SASL PLAIN with authzid)" : "with the user's password");
  return 0;
}

int Version() {
  std::printf("postern %s\n%s\n", kVersion, tls::LibraryVersion().c_str());
  return 0;
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  CLI::App app{"Postern, a POP3 proxy and load balancer", "postern"};
  app.require_subcommand(1);
  std::string file = kDefaultConfig;
  std::string user;
  std::string password_file;
  const auto with_config = [&file](CLI::App* verb) {
    verb->add_option("-c,--config", file, "configuration file")->capture_default_str();
    return verb;
  };
  CLI::App* serve = with_config(app.add_subcommand("serve", "run the proxy in the foreground"));
  CLI::App* check = with_config(
      app.add_subcommand("check", "read everything `serve` would read and name every mistake"));
  CLI::App* route =
      with_config(app.add_subcommand("route", "explain where a user's logins go, step by step"));
  route->add_option("user", user, "login name, as a client would send it")->required();
  route->add_option("--password-file", password_file,
                    "file with the user's password, for lookups that judge it");
  ServiceChange change;
  const auto service_verb = [&](const char* verb, const char* help) {
    CLI::App* made = with_config(app.add_subcommand(verb, help));
    made->add_option("backend", change.backend, "name of the backend")->required();
    made->add_option("--reason", change.reason, "why, for the log and the status");
    return made;
  };
  CLI::App* drain = service_verb("drain", "no new users for a backend; its sessions may finish");
  CLI::App* undrain = service_verb("undrain", "end a drain");
  CLI::App* disable = service_verb("disable", "no logins at all for a backend, and no checks");
  CLI::App* enable = service_verb("enable", "end a disable");
  for (CLI::App* verb : {drain, disable}) {
    verb->add_flag("--wait", change.wait, "return when the backend has no session any more");
  }
  drain->add_option("--over", change.over, "end the sessions there, one by one, over this time");
  OperatorVerbs operator_verbs(&app, with_config);
  CLI::App* status_verb =
      with_config(app.add_subcommand("status", "show pools and backends of the running server"));
  app.add_subcommand("version", "print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  if (serve->parsed()) return Serve(file);
  if (check->parsed()) return Check(file);
  if (route->parsed()) return Route(file, user, password_file);
  if (status_verb->parsed()) return ShowStatus(file);
  if (const std::optional<int> code = operator_verbs.Run(file)) return *code;
  for (const CLI::App* verb : {drain, undrain, disable, enable}) {
    if (!verb->parsed()) continue;
    change.verb = verb->get_name();
    return ChangeService(file, change);
  }
  return Version();
}

}  // namespace postern::admin
