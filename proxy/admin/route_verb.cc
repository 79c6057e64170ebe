#include "proxy/admin/route_verb.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
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
#include "proxy/admin/running_server.h"
#include "proxy/base/escape.h"
#include "proxy/base/log.h"
#include "proxy/config/master_format.h"
#include "proxy/config/places.h"
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

// Digests that clients may show at this listener and that no backend could judge.
std::vector<std::string> DigestsJudgedHere(const config::Config& config,
                                           const config::Listener& listener) {
  std::vector<std::string> digests;
  if (config.dialogue.apop && !listener.relays_greeting) digests.push_back("APOP");
  for (const pop3::Mechanism mechanism : config.dialogue.mechanisms) {
    if (mechanism == pop3::Mechanism::kCramMd5 || mechanism == pop3::Mechanism::kDigestMd5) {
      digests.emplace_back(pop3::InfoOf(mechanism).name);
    }
  }
  return digests;
}

// `judge`: the lookup that has said yes to what the client shows; empty: none that judges.
std::string Verification(const config::Config& config, const config::Listener& listener,
                         const config::Backend& backend, const routing::Router& router,
                         const std::string& user, const std::string& judge) {
  const bool here = backend.login == config::UpstreamLogin::kMaster ||
                    backend.login == config::UpstreamLogin::kSecret;
  if (!judge.empty()) {
    return absl::StrCat("lookup ", judge, " judges what the client shows",
                        here ? "" : ", and the backend the password that it is given");
  }
  if (!here) {
    const std::vector<std::string> digests = DigestsJudgedHere(config, listener);
    if (digests.empty()) return "the backend judges passwords";
    return absl::StrCat("the backend judges passwords; ", absl::StrJoin(digests, " and "),
                        digests.size() == 1 ? " is" : " are", " verified here");
  }
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

// Of the file; -1: it does not have it.
int BackendNamed(const config::Config& config, const std::string& name) {
  for (size_t i = 0; i < config.backends.size(); ++i) {
    if (config.backends[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

// Whether it is known where an operator has moved the user, if anywhere; then *end and *moved say
// it.
bool FollowOperator(const config::Config& config, const std::string& user, std::string* moved,
                    routing::ExplainedEnd* end) {
  absl::StatusOr<std::string> found = MovedTo(config, user);
  if (!found.ok()) {
    Complain(found.status().message());
    return false;
  }
  *moved = *std::move(found);
  if (moved->empty()) return true;
  Tell("moved", absl::StrCat("to backend ", EscapeForLog(*moved),
                             " by an operator, whatever the routes say"));
  *end = routing::ExplainedEnd();
  end->backend = BackendNamed(config, *moved);
  return true;
}

// Who the user is, and what is known of the login so far.
struct AskedRoute {
  std::string user;
  std::map<size_t, LookupVerdict> verdicts;
  std::string only;  // the backend that an operator or the listener has said; empty: by the routes
};

// What operators have done by hand in the running server, and where it sends the user; then *end is
// there. False: that is a backend which the file does not have.
bool FollowServer(const config::Config& config, const std::shared_ptr<const routing::Router>& file,
                  const AskedRoute& asked, routing::ExplainedEnd* end) {
  const auto by_the_file_alone = [](const absl::Status& why) {
    Tell("running", absl::StrCat("the above is by the file alone: ", std::string(why.message())));
    return true;
  };
  const absl::StatusOr<RunningServer> running = AskRunningServer(config.admin);
  if (!running.ok()) return by_the_file_alone(running.status());
  // What the parts log is told below.
  log::Configure(log::Level::kError);
  const absl::StatusOr<RunningRoutes> routes = RunningRoutes::Create(&*running, file);
  if (!routes.ok()) return by_the_file_alone(routes.status());
  if (!running->holds_unknown.empty()) {
    Tell("on hold", absl::StrCat("not known: ", EscapeForLog(running->holds_unknown, 400)));
  } else if (const std::string hold = HoldText(*running, asked.user); !hold.empty()) {
    Tell("on hold", absl::StrCat(hold, "; new logins wait"));
  }
  const routing::Decision decision = asked.only.empty() ? routes->Decide(asked.user, asked.verdicts)
                                                        : routes->DecideFor(asked.only);
  if (!decision.known) return true;
  for (const std::string& note : routes->Notes(decision)) Tell("now", note);
  Tell("running", absl::StrCat("the server ", routes->Text(decision)));
  const std::string first = routes->First(decision);
  if (first.empty()) return true;
  *end = routing::ExplainedEnd();
  end->backend = BackendNamed(config, first);
  if (end->backend >= 0) return true;
  Tell("login", "the file does not have this backend, and not how it is reached");
  return false;
}

// The lookup that has judged what the client shows; empty: none.
std::string JudgeOf(const config::Config& config, const AskedRoute& asked) {
  if (!asked.only.empty()) return "";  // nobody asks one then
  for (const auto& [number, verdict] : asked.verdicts) {
    const config::Lookup& lookup = config.lookups[number];
    if (verdict.kind == routing::LookupAnswer::Kind::kFound && lookup.traits.judges_credentials) {
      return lookup.options.name;
    }
  }
  return "";
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
  if (!router.ok()) return Complain(config::WithPlaces(router.status(), config->file).message());
  AskedLogin login{listener, question.from, question.sni, Secret()};
  if (!question.password_file.empty()) {
    absl::StatusOr<Secret> read = config::ReadPasswordFile(question.password_file);
    if (!read.ok()) return Complain(read.status().message());
    login.password = *std::move(read);
  }
  routing::ExplainedEnd end;
  AskedRoute asked;
  const int own = config::OwnBackend(*listener, question.sni);
  const absl::StatusOr<std::string> user = (*router)->NormaliseUser(question.user);
  if (own >= 0 && user.ok()) {
    end.backend = own;
    Tell("user", EscapeForLog(*user));
    Tell("listener", absl::StrCat(listener->name, " leads to backend ",
                                  config->backends[static_cast<size_t>(own)].name,
                                  ", and the routes are not asked"));
    asked.only = config->backends[static_cast<size_t>(own)].name;
  } else {
    const routing::AskForExplanation ask = LookupAsker(*config, login);
    const auto remembered = [&](size_t number, const std::string& name, std::string* note) {
      routing::LookupAnswer answer = ask(number, name, note);
      asked.verdicts[number] = {answer.kind, answer.target};
      return answer;
    };
    std::printf("%s", (*router)->Explain(question.user, remembered, &end).c_str());
  }
  if (!user.ok()) return 1;
  asked.user = *user;
  std::string moved;
  if (!FollowOperator(*config, *user, &moved, &end)) return 1;
  if (!moved.empty()) asked.only = moved;
  if (!FollowServer(*config, *router, asked, &end)) return 0;
  if (!moved.empty() && end.backend < 0) {
    Tell("result", "it is not in the configuration; the client is told [SYS/TEMP]");
  }
  if (end.any) return 0;  // any of them may be the one
  if (end.backend < 0) return 1;
  const config::Backend& backend = config->backends[static_cast<size_t>(end.backend)];
  Tell("client", ClientWays(*config, *listener, own));
  Tell("verified",
       Verification(*config, *listener, backend, **router, *user, JudgeOf(*config, asked)));
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
    if (!router.ok()) return Complain(config::WithPlaces(router.status(), config->file).message());
    configs.push_back(*std::move(config));
    routers.push_back(*std::move(router));
  }
  const RouteDiff diff =
      CompareRoutes({&configs[0], routers[0].get()}, {&configs[1], routers[1].get()}, &users);
  std::printf("%s", RouteDiffText(diff).c_str());
  return 0;
}

}  // namespace postern::admin
