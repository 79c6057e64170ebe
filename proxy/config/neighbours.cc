// What we are told of clients and what we tell: the keys of a listener about neighbours in front of
// it, and those of a backend about how it learns who the client is.
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"
#include "proxy/config/forward.h"

namespace postern::config {

bool ReadNetworks(TableReader* reader, absl::string_view key, std::vector<IpNetwork>* out) {
  std::vector<LocatedText> texts;
  if (!reader->Strings(key, &texts)) return false;
  bool good = true;
  for (const LocatedText& text : texts) {
    absl::StatusOr<IpNetwork> network = IpNetwork::Parse(text.text);
    if (network.ok()) {
      out->push_back(*std::move(network));
      continue;
    }
    good = false;
    reader->Add(text.position, absl::StrCat(key, ": ", network.status().message(),
                                            "; write networks as \"10.0.0.0/8\", "
                                            "\"192.0.2.1\" or \"2001:db8::/32\""));
  }
  return good;
}

void ParseNeighbours(TableReader* reader, ListenerDraft* listener) {
  ReadSetting(*reader, "proxy_protocol", &listener->proxy_protocol,
              [&](bool* out) { return reader->Bool("proxy_protocol", out); });
  ReadSetting(
      *reader, "proxy_networks", &listener->proxy_networks,
      [&](std::vector<IpNetwork>* out) { return ReadNetworks(reader, "proxy_networks", out); });
  ReadSetting(
      *reader, "xclient_networks", &listener->xclient_networks,
      [&](std::vector<IpNetwork>* out) { return ReadNetworks(reader, "xclient_networks", out); });
}

void ParseIntroduction(TableReader* reader, Diagnostics* diagnostics, UpstreamDraft* upstream) {
  ReadSetting(*reader, "forward", &upstream->forward,
              [&](pop3::ForwardFields* out) { return ReadForwardTable(reader, diagnostics, out); });
  ReadSetting(*reader, "proxy_protocol", &upstream->proxy_protocol, [&](UpstreamProxy* out) {
    return reader->Word<UpstreamProxy>(
        "proxy_protocol",
        {{"off", UpstreamProxy::kOff}, {"v1", UpstreamProxy::kV1}, {"v2", UpstreamProxy::kV2}},
        out);
  });
  ReadSetting(*reader, "xclient", &upstream->xclient, [&](UpstreamXclient* out) {
    return reader->Word<UpstreamXclient>("xclient",
                                         {{"auto", UpstreamXclient::kAuto},
                                          {"on", UpstreamXclient::kOn},
                                          {"off", UpstreamXclient::kOff}},
                                         out);
  });
}

void ResolveIntroduction(const UpstreamDraft& own, const UpstreamDraft& pool, Backend* backend,
                         Diagnostics* diagnostics) {
  const Setting<UpstreamXclient>& xclient = Effective(own.xclient, pool.xclient);
  backend->proxy_protocol = Effective(own.proxy_protocol, pool.proxy_protocol).value;
  backend->xclient = xclient.value;
  const Setting<pop3::ForwardFields>& forward = Effective(own.forward, pool.forward);
  backend->forward = forward.value;
  if (forward.good && backend->xclient == UpstreamXclient::kOff) {
    diagnostics->Add(forward.position,
                     absl::StrCat("forward is told by XCLIENT, and backend \"", backend->name,
                                  "\" has none; write xclient = \"auto\" there, or remove "
                                  "forward"));
  }
  if (backend->proxy_protocol == UpstreamProxy::kOff || backend->xclient == UpstreamXclient::kOff) {
    return;
  }
  diagnostics->Add(xclient.position,
                   absl::StrCat("backend \"", backend->name,
                                "\" has both xclient and proxy_protocol: behind a PROXY header a "
                                "server trusts the client's address, not ours, and takes no "
                                "XCLIENT; keep one of them"));
}

void ValidateNeighbours(ListenerDraft* listener, Diagnostics* diagnostics) {
  const Setting<bool>& wanted = listener->proxy_protocol;
  Setting<std::vector<IpNetwork>>& networks = listener->proxy_networks;
  if (wanted.value && (!networks.written || (networks.good && networks.value.empty()))) {
    diagnostics->Add(networks.written ? networks.position : wanted.position,
                     "proxy_protocol = true lets its senders name any client, so they must be "
                     "listed; write proxy_networks = [\"10.0.0.0/8\"]");
  }
  if (networks.written && !wanted.value && (wanted.good || !wanted.written)) {
    diagnostics->Add(networks.position,
                     "proxy_networks means nothing without proxy_protocol = true; set it, or "
                     "remove this");
  }
  listener->value.proxy_protocol = wanted.value;
  listener->value.proxy_networks = std::move(networks.value);
  listener->value.xclient_networks = std::move(listener->xclient_networks.value);
}

}  // namespace postern::config
