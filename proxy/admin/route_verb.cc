#include "proxy/admin/route_verb.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proxy/admin/address_text.h"
#include "proxy/admin/lookup_asker.h"
#include "proxy/admin/moved_to.h"
#include "proxy/admin/route_diff.h"
#include "proxy/base/escape.h"
#include "proxy/config/master_format.h"
#include "proxy/config/reachable.h"
#include "proxy/config/secrets.h"
#include "proxy/config/value_syntax.h"
#include "proxy/pop3/client_identity.h"
#include "proxy/pop3/mechanism.h"
#include "proxy/pop3/proxy_protocol.h"
#include "proxy/pop3/xclient.h"
#include "proxy/router_loader.h"
#include "routing/explain.h"

namespace postern::admin {
namespace {

// What a client's address is called when none is given (RFC 5737).
constexpr absl::string_view kExampleClient = "192.0.2.1";

int Complain(absl::string_view text) {
  std::fprintf(stderr, "%s%s", std::string(text).c_str(), absl::EndsWith(text, "\n") ? "" : "\n");
  return 1;
}

void Tell(absl::string_view subject, absl::string_view sentence) {
  std::printf("%s\n", absl::StrFormat("%-10s %s", subject, sentence).c_str());
}

// How a client may say who it is on this listener.
std::string ClientWays(const config::Config& config, const config::Listener& listener, int own) {
  const pop3::DialogueOptions& dialogue = config.dialogue;
  std::vector<std::string> ways;
  if (dialogue.user_pass) ways.push_back("USER and PASS");
  if (listener.relays_greeting && (own >= 0 || listener.only_backend >= 0)) {
    ways.push_back("APOP, which the backend judges: the greeting is its own");
  } else if (dialogue.apop) {
    ways.push_back("APOP");
  }
  for (const pop3::Mechanism mechanism : config::MechanismsOf(config, listener)) {
    if (mechanism == pop3::Mechanism::kExternal) {
      if (listener.client_certificate == tls::ClientCertificate::kNone) continue;
      ways.push_back("AUTH EXTERNAL with a certificate");
    } else {
      ways.push_back(absl::StrCat("AUTH ", pop3::InfoOf(mechanism).name));
    }
  }
  absl::string_view when = "";
  if (listener.tls == config::ListenerTls::kStls && !listener.plaintext_logins) {
    when = ", after STLS";
  }
  if (listener.tls == config::ListenerTls::kImplicit) when = ", in TLS";
  return absl::StrCat("at ", listener.name, " by ", absl::StrJoin(ways, ", "), when);
}

std::string Verification(const config::Config& config, const config::Backend& backend,
                         const routing::Router& router, const std::string& user) {
  const bool here = backend.login == config::UpstreamLogin::kMaster ||
                    backend.login == config::UpstreamLogin::kSecret;
  if (!here) return "the backend judges passwords; APOP and CRAM-MD5 are verified here";
  if (config.auth.secrets_file.empty()) return "here, by the client's certificate alone";
  const auto secrets = config::SecretsFile::Load(
      config.auth.secrets_file,
      [&router](absl::string_view name) { return router.NormaliseUser(name); });
  if (!secrets.ok()) {
    return absl::StrCat("here, but ", std::string(secrets.status().message()));
  }
  return absl::StrCat("here, against ", config.auth.secrets_file, ", which ",
                      (*secrets)->Find(user) == nullptr
                          ? "does not have the user: only a certificate could let them in"
                          : "has the user");
}

std::string LoginWay(const config::Backend& backend, const routing::ExplainedEnd& end,
                     const std::string& user) {
  const absl::string_view tls = backend.tls == config::UpstreamTls::kOff        ? "plain"
                                : backend.tls == config::UpstreamTls::kImplicit ? "implicit TLS"
                                                                                : "STLS";
  const absl::string_view by = backend.mechanism == config::UpstreamMechanism::kAuthPlain
                                   ? "by SASL PLAIN"
                                   : "by USER and PASS";
  std::string how;
  switch (backend.login) {
    case config::UpstreamLogin::kPassword:
      how = absl::StrCat("with the user's password ", by);
      break;
    case config::UpstreamLogin::kSasl:
      how =
          absl::StrCat("with the user's password ", by, ", or with the client's own SASL exchange");
      break;
    case config::UpstreamLogin::kSecret:
      how = absl::StrCat("with the user's stored secret ", by);
      break;
    case config::UpstreamLogin::kMaster: {
      if (backend.master_format.empty()) {
        how = absl::StrCat("as the master user ", EscapeForLog(backend.master_user),
                           " (SASL PLAIN with authzid)");
        break;
      }
      const auto name = config::MasterLoginName(backend.master_format, user, backend.master_user);
      how = name.has_value()
                ? absl::StrCat("as ", EscapeForLog(*name), " ", by)
                : std::string("not at all: the name cannot be written in its master_format");
      break;
    }
  }
  const std::string where =
      end.address.empty()
          ? AddressText(backend.address)
          : absl::StrCat(end.address, " with the settings of backend ", backend.name);
  return absl::StrCat("at ", where, ", ", tls, ", ", how);
}

// What the backend is told of the client.
std::string IdentityTold(const config::Backend& backend, const config::Listener& listener,
                         const RouteQuestion& question) {
  pop3::ClientIdentity identity;
  const auto client =
      SocketAddress::FromIp(question.from.empty() ? kExampleClient : question.from, 0);
  if (client.ok()) identity.client = *client;
  identity.destination = listener.address;
  identity.tls = listener.tls != config::ListenerTls::kOff;
  if (config::IsDnsName(question.sni)) identity.server_name = question.sni;
  std::string told;
  if (backend.xclient != config::UpstreamXclient::kOff) {
    told = absl::StrCat(backend.xclient == config::UpstreamXclient::kOn
                            ? "by XCLIENT, which its greeting must announce: "
                            : "by XCLIENT, where its greeting announces it: ",
                        absl::StripSuffix(pop3::WriteXclient(identity, "ID"), "\r\n"));
  } else if (backend.proxy_protocol == config::UpstreamProxy::kV1) {
    told = absl::StrCat("by a PROXY header: ",
                        absl::StripSuffix(pop3::WriteProxyV1(identity), "\r\n"));
  } else if (backend.proxy_protocol == config::UpstreamProxy::kV2) {
    told = absl::StrCat("by a PROXY header, version 2: client ", identity.client.IpText(),
                        identity.tls ? ", TLS" : "", identity.server_name.empty() ? "" : ", name ",
                        identity.server_name);
  } else {
    return "not told: the backend sees this machine's address";
  }
  if (!question.sni.empty() && identity.server_name.empty()) {
    absl::StrAppend(&told, " (the name asked for is no DNS name and is left out)");
  }
  return told;
}

// The chosen listener, or null.
const config::Listener* FindListener(const config::Config& config, const std::string& name) {
  for (const config::Listener& listener : config.listeners) {
    if (name.empty() || listener.name == name) return &listener;
  }
  return nullptr;
}

std::string ListenerNames(const config::Config& config) {
  std::vector<std::string> names;
  for (const config::Listener& listener : config.listeners) names.push_back(listener.name);
  return absl::StrJoin(names, ", ");
}

// Whether it is known where an operator has moved the user, if anywhere; then *end says it.
bool FollowOperator(const config::Config& config, const std::string& user,
                    routing::ExplainedEnd* end) {
  const absl::StatusOr<std::string> moved = MovedTo(config, user);
  if (!moved.ok()) {
    Complain(moved.status().message());
    return false;
  }
  if (moved->empty()) return true;
  Tell("moved", absl::StrCat("to backend ", EscapeForLog(*moved),
                             " by an operator, whatever the routes say"));
  *end = routing::ExplainedEnd();
  for (size_t i = 0; i < config.backends.size(); ++i) {
    if (config.backends[i].name == *moved) end->backend = static_cast<int>(i);
  }
  if (end->backend < 0) {
    Tell("result", "it is not in the configuration; the client is told [SYS/TEMP]");
  }
  return true;
}

}  // namespace

int ExplainUser(const std::string& config_file, const RouteQuestion& question) {
  const absl::StatusOr<config::Config> config = config::LoadConfig(config_file);
  if (!config.ok()) return Complain(config.status().message());
  const config::Listener* listener = FindListener(*config, question.listener);
  if (listener == nullptr) {
    return Complain(absl::StrCat("there is no listener \"", question.listener, "\"; there are ",
                                 ListenerNames(*config)));
  }
  if (!question.from.empty() && !SocketAddress::FromIp(question.from, 0).ok()) {
    return Complain(absl::StrCat("--from \"", question.from, "\" is no IP address"));
  }
  const absl::StatusOr<std::shared_ptr<const routing::Router>> router = LoadRouter(config->routing);
  if (!router.ok()) return Complain(router.status().message());
  Secret password;
  if (!question.password_file.empty()) {
    absl::StatusOr<Secret> read = config::ReadPasswordFile(question.password_file);
    if (!read.ok()) return Complain(read.status().message());
    password = *std::move(read);
  }
  routing::ExplainedEnd end;
  const int own = config::OwnBackend(*listener, question.sni);
  const absl::StatusOr<std::string> user = (*router)->NormaliseUser(question.user);
  if (own >= 0 && user.ok()) {
    end.backend = own;
    Tell("user", EscapeForLog(*user));
    Tell("listener", absl::StrCat(listener->name, " leads to backend ",
                                  config->backends[static_cast<size_t>(own)].name,
                                  ", and the routes are not asked"));
  } else {
    std::printf("%s",
                (*router)->Explain(question.user, LookupAsker(*config, password), &end).c_str());
  }
  if (!user.ok()) return 1;
  if (!FollowOperator(*config, *user, &end)) return 1;
  if (end.any) return 0;  // any of them may be the one
  if (end.backend < 0) return 1;
  const config::Backend& backend = config->backends[static_cast<size_t>(end.backend)];
  Tell("client", ClientWays(*config, *listener, own));
  Tell("verified", Verification(*config, backend, **router, *user));
  Tell("login", LoginWay(backend, end, *user));
  Tell("identity", IdentityTold(backend, *listener, question));
  return 0;
}

int CompareConfigurations(const std::string& config_file, const RouteQuestion& question) {
  std::ifstream users(question.users, std::ios::binary);
  if (!users) return Complain(absl::StrCat(question.users, ": cannot be read"));
  std::vector<config::Config> configs;
  std::vector<std::shared_ptr<const routing::Router>> routers;
  for (const std::string& file : {config_file, question.diff}) {
    absl::StatusOr<config::Config> config = config::LoadConfig(file);
    if (!config.ok()) return Complain(config.status().message());
    absl::StatusOr<std::shared_ptr<const routing::Router>> router = LoadRouter(config->routing);
    if (!router.ok()) return Complain(router.status().message());
    configs.push_back(*std::move(config));
    routers.push_back(*std::move(router));
  }
  const RouteDiff diff =
      CompareRoutes({&configs[0], routers[0].get()}, {&configs[1], routers[1].get()}, &users);
  std::printf("%s", RouteDiffText(diff).c_str());
  return 0;
}

}  // namespace postern::admin
