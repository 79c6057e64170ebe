// Compares the parts of a Draft with each other: everything but backends, pools and routes.
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proxy/config/draft.h"

namespace postern::config {
namespace {

bool IsAnyIpv4(const SocketAddress& address) {
  return address.family() == AF_INET && address.IpText() == "0.0.0.0";
}

// "[::]" that takes IPv4 connections too.
bool IsAnyOfBoth(const ListenerDraft& listener) {
  return listener.value.address.family() == AF_INET6 && listener.value.address.IpText() == "::" &&
         !listener.v6only.value;
}

void ValidateListenerTls(const ListenerDraft& listener, const Draft& draft,
                         Diagnostics* diagnostics) {
  if (listener.tls.written && !listener.tls.good) return;
  if (listener.tls.value == ListenerTls::kOff) {
    if (listener.plaintext_logins.value ||
        (listener.plaintext_logins.written && !listener.plaintext_logins.good)) {
      return;
    }
    // Clients whose TLS ends at the neighbour may log in.
    if (listener.proxy_protocol.value) return;
    diagnostics->Add(listener.tls.position,
                     "tls = \"off\" without plaintext_logins = true: no client could log in; set "
                     "plaintext_logins = true, or use tls = \"stls\"");
    return;
  }
  if (listener.tls.value == ListenerTls::kImplicit && listener.plaintext_logins.value) {
    diagnostics->Add(listener.plaintext_logins.position,
                     "plaintext_logins = true means nothing where tls = \"implicit\": every "
                     "byte is encrypted; remove it, or use tls = \"stls\" or \"off\"");
  }
  // Certificates that are written but wrong have been reported already.
  if (draft.certificates_written && !draft.config.tls.certificates.empty()) return;
  if (draft.certificates_written && !diagnostics->empty()) return;
  diagnostics->Add(listener.tls.position,
                   "this listener speaks TLS but there is no certificate; write [tls] "
                   "certificates = [{ chain = \"fullchain.pem\", key = \"privkey.pem\" }]");
}

void ValidateListenerAddress(const ListenerDraft& listener,
                             const std::vector<ListenerDraft>& before, Diagnostics* diagnostics) {
  if (!listener.address.good) return;
  if (listener.v6only.good && listener.value.address.family() == AF_INET) {
    diagnostics->Add(listener.v6only.position,
                     absl::StrCat("v6only means nothing for the IPv4 address ",
                                  listener.address.value, "; remove it"));
  }
  // Port 0 lets the kernel choose a free one each time.
  if (listener.value.address.port() == 0) return;
  for (const ListenerDraft& other : before) {
    if (!other.address.good) continue;
    if (other.value.address == listener.value.address) {
      diagnostics->Add(
          listener.address.position,
          absl::StrCat("address ", listener.address.value, " is the one of the listener in line ",
                       other.table.line, "; give each listener its own"));
      return;
    }
    if (other.value.address.port() != listener.value.address.port()) continue;
    if ((IsAnyOfBoth(other) && IsAnyIpv4(listener.value.address)) ||
        (IsAnyOfBoth(listener) && IsAnyIpv4(other.value.address))) {
      diagnostics->Add(listener.address.position,
                       absl::StrCat("address ", listener.address.value,
                                    " overlaps with the listener in line ", other.table.line,
                                    ": [::] with v6only = false takes IPv4 too; remove v6only = "
                                    "false or the IPv4 listener"));
      return;
    }
  }
}

void ValidateListeners(Draft* draft, Diagnostics* diagnostics) {
  if (draft->listeners.empty()) {
    diagnostics->Add({1, 1}, "there is no [[listener]]; write one with address = \"[::]:995\"");
  }
  std::vector<ListenerDraft> before;
  for (ListenerDraft& listener : draft->listeners) {
    ValidateListenerTls(listener, *draft, diagnostics);
    ValidateListenerAddress(listener, before, diagnostics);
    ValidateNeighbours(&listener, diagnostics);
    ValidateClientCertificates(&listener, diagnostics);
    Listener& value = listener.value;
    value.tls = listener.tls.value;
    value.plaintext_logins = listener.plaintext_logins.value;
    value.v6only = listener.v6only.value;
    value.name = listener.name.good ? listener.name.value : listener.address.value;
    for (const ListenerDraft& other : before) {
      if (!listener.name.good || other.value.name != value.name) continue;
      diagnostics->Add(listener.name.position,
                       absl::StrCat("name \"", value.name, "\" is the one of the listener in line ",
                                    other.table.line, "; give each listener its own"));
      break;
    }
    before.push_back(listener);
    draft->config.listeners.push_back(value);
  }
}

void ValidateAuth(const Draft& draft, Diagnostics* diagnostics) {
  const pop3::DialogueOptions& dialogue = draft.config.dialogue;
  if (draft.apop.value && !draft.secrets_written && !LookupsJudgeDigests(draft)) {
    diagnostics->Add(draft.apop.position,
                     "apop = true needs the users' secrets to verify against; write secrets = "
                     "\"/etc/postern/secrets\", or apop = false");
  }
  const bool apop_maybe = draft.apop.value || (draft.apop.written && !draft.apop.good);
  const bool used =
      std::any_of(draft.listeners.begin(), draft.listeners.end(),
                  [](const ListenerDraft& listener) { return !listener.mechanisms.written; });
  if (used && !dialogue.user_pass && dialogue.mechanisms.empty() && !apop_maybe) {
    diagnostics->Add(draft.auth,
                     "[auth] leaves clients no way to log in; allow user_pass, a mechanism or "
                     "apop");
  }
}

void ValidateAdminToken(const Draft& draft, Diagnostics* diagnostics) {
  if (!draft.admin_token.written || (draft.admin.written && !draft.admin.good)) return;
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(draft.config.admin.address);
  if (address.ok() && !address->is_unix() && address->is_loopback()) return;
  diagnostics->Add(draft.admin_token.position,
                   absl::StrCat("token_file goes with an address on loopback only: ",
                                draft.config.admin.address.empty() ? "there is no admin endpoint"
                                : address.ok() && address->is_unix()
                                    ? "a unix socket is guarded by its mode"
                                    : "the token would cross the network in the clear",
                                "; remove it, or use another address"));
}

void ValidateAdmin(const Draft& draft, Diagnostics* diagnostics) {
  if (!draft.admin.good || draft.admin.value.empty()) return;
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(draft.admin.value);
  if (!address.ok()) return;
  for (const ListenerDraft& listener : draft.listeners) {
    if (!listener.address.good || address->port() == 0) continue;
    if (!(listener.value.address == *address)) continue;
    diagnostics->Add(draft.admin.position, absl::StrCat("address ", draft.admin.value,
                                                        " is the one of the listener in "
                                                        "line ",
                                                        listener.table.line,
                                                        "; give the admin endpoint its "
                                                        "own"));
    return;
  }
}

}  // namespace

void Validate(Draft* draft, Diagnostics* diagnostics) {
  ValidateListeners(draft, diagnostics);
  ValidateAuth(*draft, diagnostics);
  ValidateAdmin(*draft, diagnostics);
  ValidateAdminToken(*draft, diagnostics);
  ValidateUpstreams(draft, diagnostics);
  ValidateListenerBackends(draft, diagnostics);
  ValidateGuard(draft);
  ValidateMechanisms(draft, diagnostics);
}

}  // namespace postern::config
