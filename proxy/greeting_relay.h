// A backend's connection that is opened before anybody has logged in, for the sake of its greeting.
//
// Where a client's connection can lead to one backend only (config::Listener::relays_greeting), the
// session connects there first and greets in that backend's words, its APOP challenge included.
// The digest that the client makes of it is good for this connection alone, so it is kept, with a
// seat at the backend, until somebody logs in on it or the session ends: no other session ever gets
// it. Passwords use it, too: the connection is there, and a client costs its backend one and not
// two. A refusal leaves it open, as RFC 1939 has it, because a second APOP needs the same
// challenge. When it is lost, a password goes by a fresh one; a digest is answered [SYS/TEMP].
#ifndef POSTERN_PROXY_GREETING_RELAY_H_
#define POSTERN_PROXY_GREETING_RELAY_H_

#include <cstddef>
#include <string>

namespace postern {

// The connection itself is the session's upstream channel.
struct GreetedUpstream {
  size_t backend = 0;
  std::string greeting;  // its line, peer text
};

}  // namespace postern

#endif  // POSTERN_PROXY_GREETING_RELAY_H_
