// XCLIENT as Dovecot speaks it over POP3: the command by which a proxy tells the next server for
// whom it speaks. No I/O; fuzzed.
#ifndef POSTERN_PROXY_POP3_XCLIENT_H_
#define POSTERN_PROXY_POP3_XCLIENT_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "proxy/pop3/client_identity.h"

namespace postern::pop3 {

// Dovecot takes 1024 octets with the line's end, and drops the connection over more.
inline constexpr size_t kXclientBytesMax = 1024;

// Whether the server will listen to us: only its greeting says so, in front of its text ("+OK
// [XCLIENT] Dovecot ready."), and only to those it trusts. Its answer to the command says nothing:
// "+OK You are not from trusted IP - ignoring" is a success.
bool AnnouncesXclient(absl::string_view greeting_line);

// The whole command with its CRLF, one line for all versions of Dovecot, which ignore the keys they
// do not know. `session`: visible ASCII, at most 64 bytes; longer ones are ignored there.
// identity.server_name: a DNS name or empty; any other is refused there. TTL is one less than
// identity.ttl. Of identity.forward it holds as many fields as fit, the first ones first.
std::string WriteXclient(const ClientIdentity& identity, absl::string_view session);

// What one XCLIENT command said; what it left out is empty.
struct XclientFacts {
  SocketAddress client;  // ADDR and PORT; port 0 without PORT
  SocketAddress destination;
  std::string session;      // visible ASCII, at most kSessionBytesMax; any other is ignored
  std::string server_name;  // a DNS name (DESTNAME)
  std::optional<bool> tls;  // CLIENT-TRANSPORT
  std::optional<int> ttl;   // at most kTtlMax
  ForwardFields forward;
};
inline constexpr size_t kSessionBytesMax = 64;
inline constexpr int kTtlMax = 255;

// `argument` is what stands behind the verb and one space. Keys are taken in any case, and unknown
// ones ignored. Nothing: a word without '=', or a key of ours with a value that cannot be.
std::optional<XclientFacts> ReadXclient(absl::string_view argument);

// What may name a session from one hop to the next.
bool IsSessionName(absl::string_view text);

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_XCLIENT_H_
