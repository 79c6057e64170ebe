// For whom a connection speaks: what one hop tells the next about a client, by the PROXY protocol
// or by XCLIENT.
#ifndef POSTERN_PROXY_POP3_CLIENT_IDENTITY_H_
#define POSTERN_PROXY_POP3_CLIENT_IDENTITY_H_

#include <string>

#include "proxy/base/socket_address.h"
#include "proxy/pop3/forward_fields.h"

namespace postern::pop3 {

struct ClientIdentity {
  SocketAddress client;
  SocketAddress destination;  // what the client connected to; may be empty
  bool tls = false;           // between the client and the first hop
  std::string tls_version;    // "TLSv1.3"; these three are empty without TLS
  std::string tls_cipher;
  std::string server_name;  // what the client asked for (SNI)
  bool alpn_pop3 = false;   // "pop3" was negotiated
  // The common name of the certificate that the client proved to have; empty without one.
  std::string certificate_name;
  // How many more proxies may follow, this one included; Dovecot counts from 7.
  int ttl = 7;
  // What else is told to the next hop, by XCLIENT only.
  ForwardFields forward;
};

}  // namespace postern::pop3

#endif  // POSTERN_PROXY_POP3_CLIENT_IDENTITY_H_
