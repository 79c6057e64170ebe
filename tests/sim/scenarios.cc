#include "tests/sim/scenarios.h"

#include <utility>

namespace postern::sim {
namespace {

ClientSpec Anna() {
  ClientSpec client;
  client.user = "anna@example.net";
  client.password = "a secret ";
  client.commands = {"STAT\r\n", "LIST\r\n", "RETR 1\r\n", "DELE 1\r\n", "QUIT\r\n"};
  return client;
}

Scenario Story(std::string name, ClientSpec client = Anna()) {
  Scenario scenario;
  scenario.name = std::move(name);
  scenario.spec.clients = {std::move(client)};
  scenario.spec.messages = 2;
  return scenario;
}

ServerScript Faulty(ServerFault fault, size_t at = 0) {
  ServerScript script;
  script.fault = fault;
  script.at = at;
  return script;
}

void AddLogins(std::vector<Scenario>* all) {
  ClientSpec client = Anna();
  client.listener = 2;
  all->push_back(Story("Plain", client));
  all->back().end = Peer::End::kFin;
  all->push_back(Story("ImplicitTls"));
  client.listener = 1;
  all->push_back(Story("Stls", client));
  client.listener = 0;
  client.login = LoginKind::kXoauth2;
  all->push_back(Story("CarriedXoauth2", client));
  all->back().spec.sasl = true;
  client.password_right = false;
  all->push_back(Story("CarriedXoauth2WithAWrongToken", client));
  all->back().spec.sasl = true;
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kQuitBeforeLogin;
  client.password_right = true;
  client.login = LoginKind::kXclient;
  client.listener = 2;
  all->push_back(Story("Xclient", client));
  all->back().spec.backends[0].xclient = config::UpstreamXclient::kOn;
  all->back().end = Peer::End::kFin;
  client.login = LoginKind::kUserPass;
  client.listener = 3;
  all->push_back(Story("ProxyHeaderThenTls", client));
  client.listener = 4;
  all->push_back(Story("ProxyHeaderThatSpeaksOfTls", client));
  all->back().end = Peer::End::kFin;
  const std::pair<const char*, LoginKind> logins[] = {
      {"UserPassAtOnce", LoginKind::kUserPassAtOnce},
      {"EverythingAtOnce", LoginKind::kEverythingAtOnce},
      {"AuthPlain", LoginKind::kAuthPlain},
      {"AuthPlainTwoSteps", LoginKind::kAuthPlainTwoSteps},
      {"AuthLogin", LoginKind::kAuthLogin},
      {"Apop", LoginKind::kApop},
      {"WrongPasswordFirst", LoginKind::kWrongFirst}};
  for (const auto& [name, login] : logins) {
    client = Anna();
    client.login = login;
    all->push_back(Story(name, client));
    all->back().spec.apop = login == LoginKind::kApop;
  }
}

void AddUpstreams(std::vector<Scenario>* all) {
  all->push_back(Story("UpstreamImplicitTls"));
  all->back().spec.backends[0].tls = config::UpstreamTls::kImplicit;
  all->push_back(Story("UpstreamStls"));
  all->back().spec.backends[0].tls = config::UpstreamTls::kStls;
  all->push_back(Story("UpstreamAuthPlain"));
  all->back().spec.backends[0].mechanism = config::UpstreamMechanism::kAuthPlain;
  all->push_back(Story("UpstreamProxyV1"));
  all->back().spec.backends[0].proxy_protocol = config::UpstreamProxy::kV1;
  all->push_back(Story("UpstreamProxyV2AndStls"));
  all->back().spec.backends[0].proxy_protocol = config::UpstreamProxy::kV2;
  all->back().spec.backends[0].tls = config::UpstreamTls::kStls;
  all->push_back(Story("UpstreamXclient"));
  all->back().spec.backends[0].xclient = config::UpstreamXclient::kOn;
  all->back().spec.backends[0].pipelining = config::Pipelining::kOff;
  all->push_back(Story("UpstreamXclientInOneWrite"));
  all->back().spec.backends[0].xclient = config::UpstreamXclient::kAuto;
  all->push_back(Story("UpstreamXclientAndAuthPlain"));
  all->back().spec.backends[0].xclient = config::UpstreamXclient::kAuto;
  all->back().spec.backends[0].mechanism = config::UpstreamMechanism::kAuthPlain;
  all->push_back(Story("UpstreamXclientAfterStls"));
  all->back().spec.backends[0].xclient = config::UpstreamXclient::kAuto;
  all->back().spec.backends[0].tls = config::UpstreamTls::kStls;
  all->push_back(Story("UpstreamUnixSocket"));
  all->back().spec.backends[0].unix_socket = true;
  all->push_back(Story("MasterLogin"));
  all->back().spec.apop = true;
  all->back().spec.backends[0].master = true;

  all->push_back(Story("NoBackendThere"));
  all->back().spec.backends[0].absent = true;
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kUpstreamUnavailable;
  all->push_back(Story("BackendsThatDoNotAnswer"));
  all->back().spec.backends[0].scripts = {Faulty(ServerFault::kNoGreeting)};
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kUpstreamUnavailable;
  // One of the two is not there: whichever is Anna's own, she gets in.
  all->push_back(Story("FailoverToTheSecond"));
  all->back().spec.backends = {BackendSpec{}, BackendSpec{}};
  all->back().spec.backends[0].absent = true;
  all->back().spec.failover = true;
  all->push_back(Story("FailoverToTheFirst"));
  all->back().spec.backends = {BackendSpec{}, BackendSpec{}};
  all->back().spec.backends[1].absent = true;
  all->back().spec.failover = true;

  all->push_back(Story("UpstreamClosesInsideAnAnswer"));
  all->back().spec.backends[0].scripts = {Faulty(ServerFault::kCloseAt, 200)};
  all->back().reason = CloseReason::kUpstreamTruncated;
  all->back().deleted = false;
  all->back().end = Peer::End::kReset;
  all->push_back(Story("UpstreamResetsInsideAnAnswer"));
  all->back().spec.backends[0].scripts = {Faulty(ServerFault::kResetAt, 200)};
  all->back().reason = CloseReason::kUpstreamTruncated;
  all->back().deleted = false;
  all->back().end = Peer::End::kReset;
  all->push_back(Story("UpstreamStallsInsideAnAnswer"));
  all->back().spec.backends[0].scripts = {Faulty(ServerFault::kStallAt, 200)};
  all->back().reason = CloseReason::kIdleTimeout;
  all->back().deleted = false;
  all->back().end = Peer::End::kReset;
  ClientSpec idle = Anna();
  idle.commands = {"STAT\r\n"};
  all->push_back(Story("UpstreamClosesBetweenAnswers", idle));
  all->back().spec.backends[0].scripts = {Faulty(ServerFault::kCloseAt, 12)};  // "+OK 2 1234\r\n"
  all->back().reason = CloseReason::kUpstreamClosed;
  all->back().deleted = false;
}

void AddFarewells(std::vector<Scenario>* all) {
  ClientSpec client = Anna();
  client.farewell = Farewell::kHalfClose;
  all->push_back(Story("QuitAndHalfClose", client));
  client.farewell = Farewell::kLeave;
  all->push_back(Story("QuitAndLeave", client));
  all->back().end = Peer::End::kNone;
  client.commands.back() = "QUIT";
  all->push_back(Story("LeaveInsideQuit", client));
  all->back().reason = CloseReason::kClientClosed;
  all->back().deleted = false;
  all->back().end = Peer::End::kNone;
  client.farewell = Farewell::kReset;
  all->push_back(Story("ResetInsideQuit", client));
  all->back().reason = CloseReason::kClientReset;
  all->back().deleted = false;
  all->back().end = Peer::End::kNone;
  client.commands.pop_back();
  client.farewell = Farewell::kHalfClose;
  all->push_back(Story("HalfCloseWithoutQuit", client));
  all->back().reason = CloseReason::kClientClosed;
  all->back().deleted = false;
  client.farewell = Farewell::kWait;
  all->push_back(Story("IdleForEver", client));
  all->back().reason = CloseReason::kIdleTimeout;
  all->back().deleted = false;
}

void AddHopeless(std::vector<Scenario>* all) {
  struct Hopeless {
    const char* name;
    LoginKind login;
    size_t listener;
    CloseReason reason;
    Peer::End end;
  };
  const Hopeless hopeless[] = {
      {"SaysNothing", LoginKind::kNone, 0, CloseReason::kLoginTimeout, Peer::End::kCloseNotify},
      {"QuitBeforeLogin", LoginKind::kQuit, 0, CloseReason::kQuitBeforeLogin,
       Peer::End::kCloseNotify},
      {"ControlBytesInTheName", LoginKind::kControlBytes, 0, CloseReason::kQuitBeforeLogin,
       Peer::End::kCloseNotify},
      {"Rubbish", LoginKind::kRubbish, 0, CloseReason::kTooManyBadCommands,
       Peer::End::kCloseNotify},
      {"EndlessLine", LoginKind::kEndlessLine, 0, CloseReason::kLineTooLong,
       Peer::End::kCloseNotify},
      {"Http", LoginKind::kHttp, 0, CloseReason::kClientNotPop3, Peer::End::kCloseNotify},
      {"StlsInjection", LoginKind::kStlsInjection, 1, CloseReason::kStlsInjection, Peer::End::kFin},
      {"ProxyStranger", LoginKind::kProxyStranger, 4, CloseReason::kProxyUntrusted,
       Peer::End::kFin},
      {"XclientLoop", LoginKind::kXclientLoop, 2, CloseReason::kProxyLoop, Peer::End::kFin},
      {"ProxyRubbish", LoginKind::kProxyRubbish, 4, CloseReason::kProxyHeader, Peer::End::kFin},
      {"ProxySilence", LoginKind::kProxySilence, 4, CloseReason::kProxyTimeout, Peer::End::kFin},
  };
  for (const Hopeless& story : hopeless) {
    ClientSpec client = Anna();
    client.login = story.login;
    client.listener = story.listener;
    client.commands.clear();
    all->push_back(Story(story.name, client));
    all->back().logged_in = all->back().deleted = false;
    all->back().reason = story.reason;
    all->back().end = story.end;
  }
  ClientSpec client = Anna();
  client.password_right = false;
  all->push_back(Story("WrongPassword", client));
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kQuitBeforeLogin;
  all->push_back(Story("WrongPasswordAndMasterLogin", client));
  all->back().spec.apop = true;
  all->back().spec.backends[0].master = true;
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kQuitBeforeLogin;
  client = Anna();
  client.user = "anna@nowhere.net";
  client.known = false;
  all->push_back(Story("UnknownUser", client));
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kQuitBeforeLogin;
  client = Anna();
  client.listener = 1;
  client.secure = false;
  all->push_back(Story("CredentialsBeforeStls", client));
  all->back().logged_in = all->back().deleted = false;
  all->back().reason = CloseReason::kQuitBeforeLogin;
  all->back().end = Peer::End::kFin;
}

}  // namespace

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario>* const all = [] {
    auto* made = new std::vector<Scenario>;
    AddLogins(made);
    AddUpstreams(made);
    AddFarewells(made);
    AddHopeless(made);
    return made;
  }();
  return *all;
}

}  // namespace postern::sim
