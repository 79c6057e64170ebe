// The keys of a listener whose clients all are at one backend, and whose greeting may be that
// backend's.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/reachable.h"
#include "proxy/config/value_syntax.h"

namespace postern::config {
namespace {

void ParseServerNames(TableReader* reader, Diagnostics* diagnostics, ListenerDraft* listener) {
  listener->server_names_at = reader->At("server_names");
  for (const TomlNode* table : reader->Tables("server_names")) {
    TableReader entry(*table, "an entry of server_names", diagnostics);
    ServerNameDraft draft;
    std::string name;
    const bool named = entry.String("name", &name);
    if (!entry.Has("name")) entry.Missing("name", "name = \"s1.pop.example.net\"");
    ReadSetting(entry, "backend", &draft.backend,
                [&](std::string* out) { return entry.String("backend", out); });
    if (!draft.backend.written) entry.Missing("backend", "backend = \"mail1\"");
    entry.Finish();
    if (!named) continue;
    if (!IsDnsName(name)) {
      entry.Add(entry.At("name"), absl::StrCat("name = \"", name,
                                               "\" is not a DNS name; write it as "
                                               "\"s1.pop.example.net\""));
      continue;
    }
    draft.name = absl::AsciiStrToLower(name);
    for (const ServerNameDraft& other : listener->server_names) {
      if (other.name != draft.name) continue;
      entry.Add(entry.At("name"), absl::StrCat("name \"", name, "\" stands twice; remove one"));
    }
    listener->server_names.push_back(std::move(draft));
  }
}

// -1, and a report, when there is no such backend.
int FindBackend(const Draft& draft, const Setting<std::string>& setting, Diagnostics* diagnostics) {
  if (!setting.good) return -1;
  std::vector<std::string> known;
  for (size_t i = 0; i < draft.config.backends.size(); ++i) {
    if (draft.config.backends[i].name == setting.value) return static_cast<int>(i);
    known.push_back(draft.config.backends[i].name);
  }
  const std::string suggestion = DidYouMean(setting.value, known);
  diagnostics->Add(
      setting.position,
      absl::StrCat("there is no backend \"", setting.value, "\"",
                   suggestion.empty() ? "; define it with [[backend]] or in a pool" : suggestion));
  return -1;
}

// Whether every backend that may greet can judge what clients show.
void ValidateGreetingBackend(const Draft& draft, int backend, Position where,
                             const Listener& listener, Diagnostics* diagnostics) {
  if (backend < 0) return;
  const Backend& target = draft.config.backends[static_cast<size_t>(backend)];
  if (target.login == UpstreamLogin::kMaster || target.login == UpstreamLogin::kSecret) {
    diagnostics->Add(
        where, absl::StrCat("greeting = \"backend\" lets backend \"", target.name,
                            "\" judge APOP, and it is told of users by ours: its login is ",
                            target.login == UpstreamLogin::kMaster ? "\"master\"" : "\"secret\"",
                            "; set login = \"password\" there, or remove greeting"));
  }
  if (target.proxy_protocol != UpstreamProxy::kOff && !listener.xclient_networks.empty()) {
    diagnostics->Add(
        where, absl::StrCat("greeting = \"backend\" connects to \"", target.name,
                            "\" before XCLIENT can say who the client is, and its PROXY header "
                            "would name the neighbour; remove xclient_networks or greeting"));
  }
}

// The one backend of all clients whom neither `backend` nor `server_names` lead anywhere.
int OnlyBackend(const Draft& draft, const std::vector<size_t>& by_routes) {
  if (!draft.config.routing.lookups.empty() || by_routes.size() != 1) return -1;
  return static_cast<int>(by_routes[0]);
}

void ValidateListenerBackend(const ListenerDraft& written, const std::vector<size_t>& by_routes,
                             const Draft& draft, Listener* listener, Diagnostics* diagnostics) {
  listener->backend = FindBackend(draft, written.backend, diagnostics);
  for (const ServerNameDraft& name : written.server_names) {
    const int backend = FindBackend(draft, name.backend, diagnostics);
    if (backend >= 0) listener->server_names.push_back({name.name, backend});
  }
  const bool hears_names = listener->tls == ListenerTls::kImplicit || listener->proxy_protocol;
  if (!written.server_names.empty() && !hears_names) {
    diagnostics->Add(written.server_names_at,
                     "server_names means nothing here: clients say the name in their TLS "
                     "handshake, and before it they have been greeted; use tls = \"implicit\", or "
                     "remove it");
  }
  listener->relays_greeting = written.greeting.value;
  if (!listener->relays_greeting) return;
  const Position where = written.greeting.position;
  for (const ServerName& name : listener->server_names) {
    ValidateGreetingBackend(draft, name.backend, where, *listener, diagnostics);
  }
  if (listener->backend >= 0) {
    ValidateGreetingBackend(draft, listener->backend, where, *listener, diagnostics);
    return;
  }
  // A name that was written wrongly has been reported.
  if (written.backend.written || !written.server_names.empty()) return;
  listener->only_backend = OnlyBackend(draft, by_routes);
  ValidateGreetingBackend(draft, listener->only_backend, where, *listener, diagnostics);
  if (listener->only_backend >= 0) return;
  diagnostics->Add(
      where,
      absl::StrCat("greeting = \"backend\" is for clients that can lead to one backend only, and ",
                   !draft.config.routing.lookups.empty()
                       ? std::string("lookups may name any")
                       : absl::StrCat("the routes lead to ", by_routes.size()),
                   "; write backend = \"NAME\" or server_names = [{ name = "
                   "\"s1.pop.example.net\", backend = \"NAME\" }] at this listener"));
}

}  // namespace

void ParseListenerBackend(TableReader* reader, Diagnostics* diagnostics, ListenerDraft* listener) {
  ReadSetting(*reader, "backend", &listener->backend,
              [&](std::string* out) { return reader->String("backend", out); });
  ParseServerNames(reader, diagnostics, listener);
  ReadSetting(*reader, "greeting", &listener->greeting, [&](bool* out) {
    return reader->Word<bool>("greeting", {{"own", false}, {"backend", true}}, out);
  });
}

void ValidateListenerBackends(Draft* draft, Diagnostics* diagnostics) {
  const std::vector<size_t> by_routes = RouteBackends(draft->config);
  for (size_t i = 0; i < draft->listeners.size(); ++i) {
    ValidateListenerBackend(draft->listeners[i], by_routes, *draft, &draft->config.listeners[i],
                            diagnostics);
  }
}

}  // namespace postern::config
