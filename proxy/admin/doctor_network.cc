#include "proxy/admin/doctor_network.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proxy/address_book.h"
#include "proxy/admin/address_text.h"
#include "proxy/admin/doctor_files.h"
#include "proxy/base/escape.h"
#include "proxy/base/ip_network.h"
#include "proxy/config/reachable.h"
#include "proxy/config/secrets.h"
#include "proxy/listener.h"
#include "proxy/name_client.h"
#include "proxy/pop3/xclient.h"

namespace postern::admin {
namespace {

using metrics::UpstreamError;
using Kind = UpstreamVerdict::Kind;

// A server that has not said a word by then is not well.
constexpr DurationNs kPatience = 5 * kSecond;

std::string Milliseconds(DurationNs duration) {
  return absl::StrFormat("%.0f ms", static_cast<double>(duration) / 1e6);
}

bool IsLocal(const SocketAddress& address) { return address.is_unix() || address.is_loopback(); }

// The detail without the backend's name in front of it.
std::string DetailOf(const config::Backend& backend, const ProbeAnswer& answer) {
  const std::string& detail = answer.verdict.detail;
  const std::string prefix = backend.name + ": ";
  return absl::StartsWith(detail, prefix) ? detail.substr(prefix.size()) : detail;
}

std::string MendTls(const config::Backend& backend, const ProbeAnswer& answer) {
  const absl::string_view word = answer.tls_error;
  if (word == "unknown_ca" || word == "self_signed") {
    return "name the CA that signed it, or the certificate itself: ca = \"farm-ca.pem\"";
  }
  if (word == "certificate_name") {
    return absl::StrCat("it is not for ", backend.tls_options.server_name,
                        "; set server_name to a name that stands in it");
  }
  if (word == "certificate_expired" || word == "certificate_not_yet_valid") {
    return "have the server's certificate renewed, and look at both clocks";
  }
  if (word == "plaintext" || word == "not_tls") {
    return "the server speaks in the clear on this port; set tls = \"stls\", or use its port 995";
  }
  return "compare with openssl s_client -connect, and with the server's log";
}

// What an operator would try next.
std::string MendFailure(const config::Backend& backend, const BackendFindings& findings) {
  const ProbeAnswer& answer = findings.answer;
  const bool with_header = backend.proxy_protocol != config::UpstreamProxy::kOff;
  if (findings.good_otherwise) {
    return with_header ? "it answers well without a PROXY header: remove proxy_protocol, or make "
                         "the server "
                         "expect one on this port (Dovecot: haproxy = yes at the listener, and "
                         "this machine "
                         "in haproxy_trusted_networks)"
                       : "it answers well behind a PROXY header: set proxy_protocol = \"v2\", or "
                         "use a port "
                         "that expects none";
  }
  switch (answer.verdict.error) {
    case UpstreamError::kRefused:
      return "nobody listens there: is the server running, and is the port right?";
    case UpstreamError::kUnreachable:
    case UpstreamError::kConnectTimeout:
      return "look at the route and at firewalls between this machine and the server";
    case UpstreamError::kTls:
      return MendTls(backend, answer);
    case UpstreamError::kStlsRefused:
      return "switch TLS on at the server, or set tls to what it has";
    case UpstreamError::kXclient:
      return absl::StrCat("the server does not trust us: add ", answer.local.IpText(),
                          " to it (Dovecot: login_trusted_networks), or set xclient = \"auto\"");
    case UpstreamError::kGreetingTimeout:
      return with_header ? "does it expect a PROXY header on this port, and trust this machine's?"
                         : "the port is open and silent: is it POP3, and has it free processes?";
    case UpstreamError::kLocal:
      return "this machine is short of something; see the limits above";
    default:
      return "is this a POP3 server? Compare with its log";
  }
}

// What listeners that lead to the backend would carry there, and it does not have.
std::vector<absl::string_view> LackingMechanisms(const config::Config& config,
                                                 const config::Backend& backend,
                                                 const pop3::CapabilityLines& lines) {
  std::vector<absl::string_view> lacking;
  for (const config::Listener& listener : config.listeners) {
    const std::vector<size_t> reachable = config::ReachableBackends(config, listener);
    const bool leads_here = std::any_of(reachable.begin(), reachable.end(), [&](size_t i) {
      return config.backends[i].name == backend.name;
    });
    if (!leads_here) continue;
    for (const pop3::Mechanism mechanism : config::MechanismsOf(config, listener)) {
      const pop3::MechanismInfo& info = pop3::InfoOf(mechanism);
      if (!info.carried || pop3::OffersMechanism(lines, info.name)) continue;
      if (std::find(lacking.begin(), lacking.end(), info.name) == lacking.end()) {
        lacking.push_back(info.name);
      }
    }
  }
  return lacking;
}

// Capabilities that the configuration counts on.
void TellCapabilities(const config::Config& config, const config::Backend& backend,
                      const SocketAddress& address, const std::string& subject,
                      const pop3::CapabilityLines& lines, DoctorReport* report) {
  const auto has = [&lines](absl::string_view name) {
    return std::any_of(lines.begin(), lines.end(), [name](const std::string& line) {
      return absl::EqualsIgnoreCase(absl::string_view(line).substr(0, line.find(' ')), name);
    });
  };
  const bool plain = backend.mechanism == config::UpstreamMechanism::kAuthPlain;
  if (plain && !pop3::OffersMechanism(lines, "PLAIN")) {
    report->Bad(absl::StrCat(subject, " does not offer SASL PLAIN, by which we log in"),
                "allow it there, or set mechanism = \"user-pass\"; servers often want TLS for it");
  }
  if (!plain && !has("USER")) {
    report->Bad(absl::StrCat(subject, " does not offer USER and PASS, by which we log in"),
                backend.tls == config::UpstreamTls::kOff
                    ? "servers often want TLS for them: set tls = \"stls\" or \"implicit\""
                    : "allow them there, or set mechanism = \"auth-plain\"");
  }
  if (backend.login == config::UpstreamLogin::kSasl) {
    const std::vector<absl::string_view> lacking = LackingMechanisms(config, backend, lines);
    if (!lacking.empty()) {
      report->Warn(absl::StrCat(subject, " does not offer ", absl::StrJoin(lacking, ", "),
                                ", which clients are therefore not offered"),
                   "switch it on there, or take it out of mechanisms in [auth] or at the listener");
    }
  }
  if (backend.tls == config::UpstreamTls::kOff && has("STLS") && !IsLocal(address)) {
    report->Warn(absl::StrCat(subject, " offers STLS, and passwords go there in the clear"),
                 "set tls = \"stls\" and ca");
  }
}

void TellTrust(const config::Backend& backend, const std::string& subject,
               const ProbeAnswer& answer, DoctorReport* report) {
  const bool announced = pop3::AnnouncesXclient(answer.greeting);
  if (backend.xclient == config::UpstreamXclient::kAuto && !announced) {
    report->Warn(
        absl::StrCat(subject,
                     " does not announce XCLIENT to us: it is not told who the "
                     "clients are"),
        absl::StrCat("add ", answer.local.IpText(), " to it (Dovecot: login_trusted_networks)"));
  }
  if (backend.xclient != config::UpstreamXclient::kOff && announced) {
    report->Good(absl::StrCat(subject, " trusts us: XCLIENT tells it who the clients are"));
  }
  if (backend.xclient == config::UpstreamXclient::kOff && announced) {
    report->Note(absl::StrCat(subject,
                              " takes XCLIENT; xclient = \"auto\" would tell it who the "
                              "clients are"));
  }
}

std::string WhereAt(const config::Backend& backend, const SocketAddress& address) {
  const std::string written = AddressText(backend.address);
  const std::string used = address.ToString();
  return absl::StrCat(backend.name, " (", used, written == used ? "" : ", ",
                      written == used ? "" : written, ")");
}

// A server as a client of ours would reach it.
SocketAddress Reachable(const SocketAddress& listening) {
  std::string ip = listening.IpText();
  if (ip == "0.0.0.0") ip = "127.0.0.1";
  if (ip == "::") ip = "::1";
  return SocketAddress::FromIp(ip, listening.port()).value_or(listening);
}

AddressList AddressesOf(const config::Backend& backend, const std::string& servers,
                        std::string* error) {
  if (backend.address.is_unix()) {
    const auto parsed = SocketAddress::Parse("unix:" + backend.address.unix_path);
    if (!parsed.ok()) return nullptr;
    return std::make_shared<const std::vector<SocketAddress>>(1, *parsed);
  }
  NameClient names(servers);
  NameAnswer answer = std::move(names.LookUp({backend.address}).front());
  if (answer.orders.empty()) {
    *error = std::move(answer.error);
    return nullptr;
  }
  return std::make_shared<const std::vector<SocketAddress>>(std::move(answer.orders.front()));
}

}  // namespace

void TellBackend(const config::Config& config, const config::Backend& backend,
                 const SocketAddress& address, const BackendFindings& findings, int64_t now_unix,
                 DoctorReport* report) {
  const ProbeAnswer& answer = findings.answer;
  const std::string subject = WhereAt(backend, address);
  if (answer.verdict.kind == Kind::kRefused) {
    return report->Bad(absl::StrCat(subject, ": the login of health checks was refused: ",
                                    DetailOf(backend, answer)),
                       "look at user and password_file of health, or at the master user");
  }
  if (answer.verdict.kind != Kind::kAccepted || findings.good_otherwise) {
    const std::string detail = DetailOf(backend, answer);
    return report->Bad(absl::StrCat(subject, ": ", detail.empty() ? "no answer to CAPA" : detail),
                       MendFailure(backend, findings));
  }
  std::string what = absl::StrCat(subject, ": answers in ", Milliseconds(answer.took));
  absl::StrAppend(&what, answer.tls_version.empty() ? ", plain" : ", ", answer.tls_version);
  if (answer.certificate.has_value() && answer.certificate->not_after_unix != 0) {
    absl::StrAppend(&what, ", certificate ",
                    ExpiryText(answer.certificate->not_after_unix, now_unix));
  }
  if (backend.health.probe == config::Probe::kLogin) absl::StrAppend(&what, ", logs in");
  report->Good(what);
  if (backend.tls_options.insecure && !IsLocal(address)) {
    report->Warn(absl::StrCat(subject, ": its certificate is not verified (insecure = true)"),
                 "anybody between could read every password; name its CA: ca = \"farm-ca.pem\"");
  }
  if (answer.certificate.has_value() && answer.certificate->not_after_unix != 0 &&
      EndsSoon(answer.certificate->not_after_unix, now_unix)) {
    report->Warn(absl::StrCat(subject, ": its certificate ends soon"),
                 "have it renewed: no user could log in there any more");
  }
  TellTrust(backend, subject, answer, report);
  if (findings.capabilities == nullptr) {
    report->Note(absl::StrCat(subject, " does not answer CAPA"));
  } else {
    TellCapabilities(config, backend, address, subject, *findings.capabilities, report);
  }
}

NetworkDoctor::NetworkDoctor(const config::Config* config, io::Io* io, tls::Library* library,
                             int64_t now_unix, DoctorReport* report)
    : config_(config),
      library_(library),
      now_unix_(now_unix),
      report_(report),
      timeouts_(config->timeouts),
      probe_(io, &timeouts_) {
  timeouts_.upstream_connect = std::min(timeouts_.upstream_connect, kPatience);
  timeouts_.upstream_greeting = std::min(timeouts_.upstream_greeting, kPatience);
  timeouts_.upstream_login = std::min(timeouts_.upstream_login, kPatience);
  for (const config::Backend& backend : config->backends)
    list_.push_back(states_.Get(backend.name));
  offers_ = std::make_unique<OfferBook>(config, list_);
}

bool NetworkDoctor::CheckListener(const config::Listener& listener,
                                  const std::vector<int64_t>& certificate_ends) {
  const SocketAddress address = Reachable(listener.address);
  config::Backend target;
  target.name = listener.name;
  ProbeQuestion question;
  question.backend = &target;
  question.address = address;
  std::string untried;
  if (listener.proxy_protocol) {
    if (ContainsAddress(listener.proxy_networks, address)) {
      target.proxy_protocol = config::UpstreamProxy::kV2;
    } else {
      untried = "; the rest is for neighbours with a PROXY header";
    }
  }
  if (listener.client_certificate == tls::ClientCertificate::kRequired) {
    untried = "; the rest is for clients with a certificate";
  }
  std::unique_ptr<tls::ClientContext> tls;
  if (listener.tls != config::ListenerTls::kOff) {
    target.tls = listener.tls == config::ListenerTls::kStls ? config::UpstreamTls::kStls
                                                            : config::UpstreamTls::kImplicit;
    tls::ClientOptions options;
    options.insecure = true;  // what the files hold has been looked at already
    options.server_name = config_->hostname;
    auto made = tls::ClientContext::Create(options, library_);
    if (made.ok()) tls = *std::move(made);
    question.tls = tls.get();
  }
  if (!untried.empty()) question.goal = UpstreamGoal::kConnected;
  const ProbeAnswer answer = probe_.Ask(question);
  const std::string subject = absl::StrCat(listener.name, " (", listener.address.ToString(), ")");
  if (answer.verdict.kind == Kind::kAccepted) {
    report_->Good(absl::StrCat(subject, ": answers in ", Milliseconds(answer.took),
                               answer.tls_version.empty() ? "" : ", ", answer.tls_version,
                               untried));
    const auto& shown = answer.certificate;
    if (shown.has_value() && !certificate_ends.empty() &&
        std::find(certificate_ends.begin(), certificate_ends.end(), shown->not_after_unix) ==
            certificate_ends.end()) {
      report_->Warn(
          absl::StrCat(subject, " shows a certificate that the files do not hold any more"),
          "make the running server read them: systemctl reload postern");
    }
    return true;
  }
  if (answer.verdict.error == UpstreamError::kRefused) return false;
  report_->Bad(absl::StrCat(subject, ": ", DetailOf(target, answer)),
               "does another program listen there? ss -ltnp shows which; see the server's log");
  return true;
}

void NetworkDoctor::CheckListeners(bool running, const std::vector<int64_t>& certificate_ends) {
  for (const config::Listener& listener : config_->listeners) {
    if (CheckListener(listener, certificate_ends)) continue;
    const std::string subject = absl::StrCat(listener.name, " (", listener.address.ToString(), ")");
    if (running) {
      report_->Bad(absl::StrCat(subject, ": nobody listens, although the server runs"),
                   "does it run with this configuration? systemctl reload postern");
      continue;
    }
    const absl::Status free = CheckUnused(listener.address, listener.v6only, 0);
    if (free.ok()) {
      report_->Note(absl::StrCat(subject, ": nobody listens; the server could"));
    } else {
      const std::string text(free.message());
      const size_t mend = text.find("; ");
      report_->Bad(absl::StrCat(subject, ": ", text.substr(0, mend)),
                   mend == std::string::npos ? "" : text.substr(mend + 2));
    }
  }
}

BackendFindings NetworkDoctor::AskBackend(size_t index, const SocketAddress& address,
                                          const tls::ClientContext* tls) {
  const config::Backend& backend = config_->backends[index];
  BackendFindings findings;
  ProbeQuestion question;
  question.backend = &backend;
  question.address = address;
  question.tls = tls;
  question.offers = offers_.get();
  question.backend_index = index;
  Secret password;
  if (backend.health.probe == config::Probe::kLogin) {
    const bool master = backend.login == config::UpstreamLogin::kMaster;
    auto read = config::ReadPasswordFile(master ? backend.master_password_file
                                                : backend.health.password_file);
    if (read.ok()) {
      password = *std::move(read);
      question.user = backend.health.user;
      question.password = password.view();
    }
  }
  // CAPA is asked for its own sake: a login may need none.
  question.goal = UpstreamGoal::kCapabilities;
  findings.answer = probe_.Ask(question);
  findings.capabilities = list_[index]->capabilities();
  const bool good = findings.answer.verdict.kind == Kind::kAccepted;
  const bool with_header = backend.proxy_protocol != config::UpstreamProxy::kOff;
  const UpstreamError error = findings.answer.verdict.error;
  const bool silent =
      !good && (error == UpstreamError::kGreetingTimeout || error == UpstreamError::kBadGreeting ||
                error == UpstreamError::kClosed || error == UpstreamError::kExtraLines ||
                error == UpstreamError::kBadReply || error == UpstreamError::kTls);
  if (silent || (good && with_header && findings.capabilities == nullptr)) {
    config::Backend otherwise = backend;
    otherwise.proxy_protocol =
        with_header ? config::UpstreamProxy::kOff : config::UpstreamProxy::kV2;
    question.backend = &otherwise;
    findings.asked_otherwise = true;
    findings.good_otherwise = probe_.Ask(question).verdict.kind == Kind::kAccepted &&
                              list_[index]->capabilities() != nullptr;
    question.backend = &backend;
  }
  if (good && !password.empty()) {
    question.goal = UpstreamGoal::kLoggedIn;
    findings.answer = probe_.Ask(question);
  }
  return findings;
}

void NetworkDoctor::CheckBackend(size_t index) {
  const config::Backend& backend = config_->backends[index];
  std::unique_ptr<tls::ClientContext> tls;
  if (backend.tls != config::UpstreamTls::kOff) {
    auto made = tls::ClientContext::Create(backend.tls_options, library_);
    if (!made.ok()) {
      return report_->Bad(absl::StrCat(backend.name, ": ", std::string(made.status().message())),
                          "");
    }
    tls = *std::move(made);
  }
  std::string error;
  const AddressList addresses =
      AddressesOf(backend, absl::StrJoin(config_->name_servers, ","), &error);
  if (addresses == nullptr || addresses->empty()) {
    return report_->Bad(absl::StrCat(backend.name, ": ", AddressText(backend.address), ": ", error),
                        "does the name exist? getent hosts shows what this machine knows");
  }
  for (const SocketAddress& address : *addresses) {
    TellBackend(*config_, backend, address, AskBackend(index, address, tls.get()), now_unix_,
                report_);
  }
}

void NetworkDoctor::CheckBackends() {
  for (size_t i = 0; i < config_->backends.size(); ++i) CheckBackend(i);
}

void NetworkDoctor::CheckPools() {
  for (size_t i = 0; i < config_->routing.pools.size(); ++i) {
    const std::string differences = offers_->Differences(i);
    if (differences.empty()) continue;
    report_->Warn(absl::StrCat("pool ", config_->routing.pools[i].name, ": ", differences),
                  "make its backends alike; until then clients are promised what all have");
  }
  for (size_t i = 0; i < config_->listeners.size(); ++i) {
    report_->Good(absl::StrCat(config_->listeners[i].name, " promises ",
                               absl::StrJoin(offers_->Get(i)->capabilities, ", ")));
  }
}

}  // namespace postern::admin
