// The session's talk with a neighbour that stands between us and the client.
#include "proxy/neighbour.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "proxy/base/ip_network.h"
#include "proxy/config/forward.h"
#include "proxy/config/value_syntax.h"
#include "proxy/pop3/command.h"
#include "proxy/pop3/proxy_protocol.h"
#include "proxy/pop3/xclient.h"
#include "proxy/session.h"

namespace postern {
namespace {

absl::string_view ProtocolName(const pop3::ProxyHeader& header) {
  if (header.local) return "local";
  return header.version == 1 ? "v1" : "v2";
}

pop3::ClientIdentity IdentityOf(pop3::ProxyHeader header) {
  pop3::ClientIdentity identity;
  identity.client = header.source;
  identity.destination = header.destination;
  identity.tls = header.ssl;
  identity.tls_version = std::move(header.ssl_version);
  identity.tls_cipher = std::move(header.ssl_cipher);
  identity.server_name = std::move(header.authority);
  identity.alpn_pop3 = header.alpn == "pop3";
  if (!pop3::HasControlBytes(header.ssl_common_name)) {
    identity.certificate_name = std::move(header.ssl_common_name);
  }
  return identity;
}

}  // namespace

// Reads the PROXY header, which comes before anything else, TLS too. What the neighbour sent behind
// it stays in the channel's input.
coro::Task<bool> Session::HearNeighbour() {
  if (!ContainsAddress(listener().proxy_networks, client_address_)) {
    End(CloseReason::kProxyUntrusted);
    co_return false;
  }
  neighbour_ = std::make_unique<Neighbour>();
  neighbour_->address = client_address_;
  ArmDeadline(accepted_at_ + config().timeouts.proxy_header);
  pop3::ProxyHeader header;
  size_t consumed = 0;
  for (;;) {
    const pop3::ProxyRead read =
        pop3::ReadProxyHeader(client_.input(), &header, &consumed, &neighbour_->error);
    if (read == pop3::ProxyRead::kDone) break;
    if (read == pop3::ProxyRead::kBad) {
      End(CloseReason::kProxyHeader);
      co_return false;
    }
    const Outcome outcome = co_await client_.ReadMore();
    if (outcome == Outcome::kOk) continue;
    EndOnClient(outcome);
    co_return false;
  }
  client_.ConsumeInput(consumed);
  neighbour_->protocol = ProtocolName(header);
  neighbour_->session = header.unique_id;
  if (!header.local) {
    client_address_ = header.source;
    neighbour_->told = IdentityOf(std::move(header));
  }
  co_return true;
}

void Session::TakeXclient(const pop3::XclientFacts& facts) {
  if (neighbour_ == nullptr) {
    neighbour_ = std::make_unique<Neighbour>();
    neighbour_->address = client_address_;
  }
  neighbour_->protocol = "xclient";
  neighbour_->told_tls = true;
  if (!facts.client.empty()) client_address_ = facts.client;
  if (!facts.session.empty()) neighbour_->session = facts.session;
  pop3::ClientIdentity& told = neighbour_->told;
  if (!facts.destination.empty()) told.destination = facts.destination;
  if (!facts.server_name.empty()) told.server_name = facts.server_name;
  if (!facts.forward.empty()) told.forward = facts.forward;
  told.tls = facts.tls.value_or(told.tls);
  told.ttl = facts.ttl.value_or(told.ttl);
}

pop3::ClientIdentity Session::Identity() const {
  pop3::ClientIdentity identity;
  if (neighbour_ != nullptr) identity = neighbour_->told;
  identity.client = client_address_;
  if (identity.destination.empty()) identity.destination = io_->LocalAddress(client_.fd());
  const bool told_tls = neighbour_ != nullptr && neighbour_->told_tls;
  tls::Engine* engine = client_.tls();
  if (!told_tls && engine != nullptr && engine->handshake_done()) {
    const tls::HandshakeInfo info = engine->info();
    identity.tls = true;
    identity.tls_version = std::string(info.version);
    identity.tls_cipher = std::string(info.cipher);
    identity.alpn_pop3 = info.alpn_pop3;
    if (!info.server_name.empty()) identity.server_name = std::string(info.server_name);
    if (certificate_ != nullptr) identity.certificate_name = certificate_->common_name;
  }
  // Receivers drop the connection over a name that is none.
  if (!config::IsDnsName(identity.server_name)) identity.server_name.clear();
  return identity;
}

void Session::AddForward(const config::Backend& backend, pop3::ClientIdentity* identity) const {
  if (backend.forward.empty()) return;
  config::ForwardFacts facts;
  facts.listener = listener().name;
  facts.hostname = config().hostname;
  facts.server_name = identity->server_name;
  facts.tls_version = identity->tls_version;
  facts.tls_cipher = identity->tls_cipher;
  facts.certificate = identity->certificate_name;
  pop3::ForwardFields own;
  for (const auto& [name, value] : backend.forward) {
    own.emplace_back(name, config::FillForward(value, facts));
  }
  identity->forward = pop3::JoinForward(std::move(own), identity->forward);
}

std::string Session::SessionName() const {
  if (neighbour_ != nullptr && pop3::IsSessionName(neighbour_->session)) return neighbour_->session;
  return absl::StrFormat("%016x", id_);
}

}  // namespace postern
