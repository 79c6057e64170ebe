#include "proxy/admin/doctor_files.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "proxy/base/line_log.h"
#include "proxy/config/places.h"
#include "proxy/config/secrets.h"
#include "proxy/router_loader.h"
#include "tls/server_names.h"

namespace postern::admin {
namespace {

constexpr int64_t kDay = 86400;
constexpr int64_t kSoon = 14 * kDay;

// Errors of the loaders are lines of "what; how to mend it".
void BadStatus(const absl::Status& status, const std::string& config_file, DoctorReport* report) {
  const absl::Status placed = config::WithPlaces(status, config_file);
  for (const absl::string_view line : absl::StrSplit(placed.message(), '\n', absl::SkipEmpty())) {
    const size_t mend = line.find("; ");
    report->Bad(line.substr(0, mend), mend == absl::string_view::npos ? "" : line.substr(mend + 2));
  }
}

void CheckPasswordFile(const config::Config& config, const std::string& path,
                       absl::string_view what, std::set<std::string>* seen, DoctorReport* report) {
  if (path.empty() || !seen->insert(path).second) return;
  const absl::StatusOr<Secret> password = config::ReadPasswordFile(path);
  if (!password.ok()) return BadStatus(password.status(), config.file, report);
  report->Good(absl::StrCat(path, ": ", what, ", for its owner only"));
}

void CheckSessionLog(const config::Config& config, DoctorReport* report) {
  const std::string& file = config.log.sessions;
  if (file.empty() || file == "-") return;
  const absl::Status status = LineLog::Check(file);
  if (!status.ok()) return BadStatus(status, config.file, report);
  report->Good(absl::StrCat(file, ": the session log, can be written"));
}

}  // namespace

std::string ExpiryText(int64_t not_after_unix, int64_t now_unix) {
  const int64_t days = (not_after_unix - now_unix) / kDay;
  return absl::StrCat(
      "until ",
      absl::FormatTime("%Y-%m-%d", absl::FromUnixSeconds(not_after_unix), absl::UTCTimeZone()),
      ", ", days, days == 1 ? " day" : " days");
}

bool EndsSoon(int64_t not_after_unix, int64_t now_unix) {
  return not_after_unix - now_unix < kSoon;
}

void CheckFiles(const config::Config& config, DoctorReport* report) {
  const absl::StatusOr<std::shared_ptr<const routing::Router>> router = LoadRouter(config.routing);
  if (!router.ok()) {
    BadStatus(router.status(), config.file, report);
  } else if ((*router)->mapped_users() > 0) {
    report->Good(absl::StrCat("maps: ", (*router)->mapped_users(), " users"));
  }
  if (!config.auth.secrets_file.empty()) {
    config::SecretsFile::Normalise normalise;
    if (router.ok()) {
      normalise = [&router](absl::string_view user) { return (*router)->NormaliseUser(user); };
    }
    const auto secrets = config::SecretsFile::Load(config.auth.secrets_file, normalise);
    if (secrets.ok()) {
      report->Good(absl::StrCat(config.auth.secrets_file, ": ", (*secrets)->size(),
                                (*secrets)->size() == 1 ? " secret" : " secrets",
                                ", for its owner only"));
    } else {
      BadStatus(secrets.status(), config.file, report);
    }
  }
  std::set<std::string> seen;
  for (const config::Backend& backend : config.backends) {
    CheckPasswordFile(config, backend.master_password_file, "a master password", &seen, report);
    CheckPasswordFile(config, backend.health.password_file, "a password of health checks", &seen,
                      report);
  }
  for (const config::Lookup& lookup : config.lookups) {
    CheckPasswordFile(config, lookup.password_file, "a password of lookups", &seen, report);
  }
  if (config.policy.on()) {
    CheckPasswordFile(config, config.policy.nonce_file, "the nonce of [guard.policy]", &seen,
                      report);
    CheckPasswordFile(config, config.policy.askers[0].password_file, "the key of [guard.policy]",
                      &seen, report);
  }
  CheckPasswordFile(config, config.admin.token_file, "the token of the admin endpoint", &seen,
                    report);
  CheckSessionLog(config, report);
}

std::vector<int64_t> CheckCertificates(const config::Config& config, int64_t now_unix,
                                       tls::Library* library, DoctorReport* report) {
  std::vector<int64_t> ends;
  tls::ServerNames names;
  for (const tls::CertificateFiles& files : config.tls.certificates) {
    tls::ServerOptions options = config.tls;
    options.certificates = {files};
    const auto context = tls::ServerContext::Create(options, library);
    if (!context.ok()) {
      BadStatus(context.status(), config.file, report);
      continue;
    }
    const tls::CertificateInfo& info = (*context)->certificates().front();
    ends.push_back(info.not_after_unix);
    for (const std::string& name : info.names) names.Add(name, 1);
    const std::string what =
        absl::StrCat(info.file, ": ", absl::StrJoin(info.names, ", "), "; ", info.key_kind, "; ",
                     ExpiryText(info.not_after_unix, now_unix));
    if (EndsSoon(info.not_after_unix, now_unix)) {
      report->Warn(what, "have it renewed now, then reload (systemctl reload postern)");
    } else {
      report->Good(what);
    }
    const std::string broken = tls::ServerContext::ChainTrouble(files, library);
    if (!broken.empty()) {
      report->Warn(
          absl::StrCat(files.chain, ": ", broken),
          "put the intermediate certificates behind the leaf (fullchain.pem); with a CA of "
          "your own, clients must know it");
    }
    for (const std::string& warning : (*context)->warnings()) report->Warn(warning, "");
  }
  if (!ends.empty() && names.Find(config.hostname, 0) == 0) {
    report->Warn(
        absl::StrCat("no certificate is for ", config.hostname, ", the hostname of the greeting"),
        "add the name clients connect to to the certificate, or set hostname to it");
  }
  for (const config::Listener& listener : config.listeners) {
    if (listener.client_certificate == tls::ClientCertificate::kNone) continue;
    tls::ServerOptions options = config.tls;
    options.client_certificate = listener.client_certificate;
    options.client_ca_file = listener.client_ca;
    const auto context = tls::ServerContext::Create(options, library);
    if (context.ok()) {
      report->Good(absl::StrCat(listener.client_ca, ": signs the clients of ", listener.name));
    } else if (!ends.empty()) {
      BadStatus(context.status(), config.file, report);
    }
  }
  return ends;
}

}  // namespace postern::admin
