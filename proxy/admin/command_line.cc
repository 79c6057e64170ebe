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
#include "proxy/admin/backend_verbs.h"
#include "proxy/admin/doctor.h"
#include "proxy/admin/operator_verbs.h"
#include "proxy/admin/route_verb.h"
#include "proxy/admin/serve.h"
#include "proxy/admin/service_verbs.h"
#include "proxy/base/all_errors.h"
#include "proxy/base/escape.h"
#include "proxy/base/line_log.h"
#include "proxy/config/config.h"
#include "proxy/config/places.h"
#include "proxy/config/secrets.h"
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

// What only the process itself reads or writes, and no session.
absl::Status CheckOwnFiles(const config::Config& config) {
  AllErrors errors;
  if (!config.admin.state_file.empty()) errors.Add(LoadStateFile(config.admin.state_file).status());
  if (!config.admin.token_file.empty()) {
    errors.Add(config::ReadPasswordFile(config.admin.token_file).status());
  }
  if (!config.log.sessions.empty()) errors.Add(LineLog::Check(config.log.sessions));
  return errors.ToStatus();
}

// Everything `serve` would read, without opening a port: the configuration, maps, secrets and
// certificates. One run tells all that is wrong with files.
absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> LoadEverything(const std::string& file,
                                                                     tls::Library* library) {
  absl::StatusOr<config::Config> config = config::LoadConfig(file);
  if (!config.ok()) return config.status();
  AllErrors errors;
  metrics::Registry registry;
  absl::StatusOr<std::shared_ptr<Snapshot>> snapshot = BuildSnapshot(*config, &registry, 1);
  errors.Add(snapshot.status());
  std::shared_ptr<const WorkerSnapshot> loaded;
  if (snapshot.ok()) {
    absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> built =
        BuildWorkerSnapshot(*std::move(snapshot), library, nullptr);
    errors.Add(built.status());
    if (built.ok()) loaded = *std::move(built);
  } else {
    errors.Add(CheckTlsFiles(*config, library));
  }
  errors.Add(CheckOwnFiles(*config));
  const absl::Status status = config::WithPlaces(errors.ToStatus(), file);
  if (!status.ok()) return status;
  return loaded;
}

int Check(const std::string& file) {
  tls::Library library;
  const absl::StatusOr<std::shared_ptr<const WorkerSnapshot>> loaded =
      LoadEverything(file, &library);
  if (!loaded.ok()) return Complain(loaded.status());
  const Snapshot& snapshot = *(*loaded)->shared;
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

int Version() {
  std::printf("postern %s\n%s\n", kVersion, tls::LibraryVersion().c_str());
  return 0;
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  CLI::App app{"Postern, a POP3 proxy and load balancer", "postern"};
  app.require_subcommand(1);
  std::string file = kDefaultConfig;
  RouteQuestion question;
  const auto with_config = [&file](CLI::App* verb) {
    verb->add_option("-c,--config", file, "configuration file")->capture_default_str();
    return verb;
  };
  CLI::App* serve = with_config(app.add_subcommand("serve", "run the proxy in the foreground"));
  CLI::App* check = with_config(
      app.add_subcommand("check", "read everything `serve` would read and name every mistake"));
  CLI::App* route =
      with_config(app.add_subcommand("route", "explain where a user's logins go, step by step"));
  CLI::Option* user =
      route->add_option("user", question.user, "login name, as a client would send it");
  route->add_option("--from", question.from, "address of the client")->needs(user);
  route->add_option("--sni", question.sni, "name that it asks for in TLS")->needs(user);
  route->add_option("--listener", question.listener, "where it comes in")->needs(user);
  route
      ->add_option("--password-file", question.password_file,
                   "file with the user's password, for lookups that judge it")
      ->needs(user);
  CLI::Option* diff =
      route->add_option("--diff", question.diff, "another configuration, to be compared")
          ->excludes(user);
  diff->needs(
      route->add_option("--users", question.users, "file of users to compare")->needs(diff));
  CLI::App* doctor = with_config(app.add_subcommand(
      "doctor", "look at files, limits, listeners and backends, and say what to mend"));
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
  CLI::App* weight =
      service_verb("weight", "another share of new users for a backend than the configuration's");
  weight->add_option("weight", change.weight, "0 to 10000, or configured")->required();
  for (CLI::App* verb : {drain, disable}) {
    verb->add_flag("--wait", change.wait, "return when the backend has no session any more");
  }
  drain->add_option("--over", change.over, "end the sessions there, one by one, over this time");
  const BackendVerbs backend_verbs(&app, with_config);
  OperatorVerbs operator_verbs(&app, with_config);
  CLI::App* status_verb =
      with_config(app.add_subcommand("status", "show pools and backends of the running server"));
  app.add_subcommand("version", "print the version");
  try {
    app.parse(argc, argv);
    if (route->parsed() && user->count() + diff->count() == 0) {
      throw CLI::RequiredError("user, or --diff with --users,");
    }
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  if (serve->parsed()) return Serve(file);
  if (check->parsed()) return Check(file);
  if (route->parsed()) {
    if (diff->count() > 0) return CompareConfigurations(file, question);
    return ExplainUser(file, question);
  }
  if (doctor->parsed()) return Doctor(file);
  if (status_verb->parsed()) return ShowStatus(file);
  if (const std::optional<int> code = operator_verbs.Run(file)) return *code;
  if (const std::optional<int> code = backend_verbs.Run(file)) return *code;
  for (const CLI::App* verb : {drain, undrain, disable, enable, weight}) {
    if (!verb->parsed()) continue;
    change.verb = verb->get_name();
    return ChangeService(file, change);
  }
  return Version();
}

}  // namespace postern::admin
