// A load balancer or proxy in front of us that says for whom it speaks.
#ifndef POSTERN_PROXY_NEIGHBOUR_H_
#define POSTERN_PROXY_NEIGHBOUR_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "proxy/pop3/client_identity.h"

namespace postern {

// What a session knows of its neighbour. Only sessions that have one hold it.
struct Neighbour {
  SocketAddress address;  // the neighbour's own end
  // "v1", "v2", "local" (a PROXY header that speaks for nobody), "xclient"; empty: nothing yet.
  absl::string_view protocol;
  // It has told of the client's TLS, so that ours, with the neighbour, says nothing about it.
  bool told_tls = false;
  std::string error;          // why its PROXY header is none
  std::string session;        // its own name for the session; empty when it gave none
  pop3::ClientIdentity told;  // peer text; empty when it speaks for nobody
};

}  // namespace postern

#endif  // POSTERN_PROXY_NEIGHBOUR_H_
