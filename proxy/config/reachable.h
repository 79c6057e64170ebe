// Where the clients of a listener can be led, and what it may offer them.
#ifndef POSTERN_PROXY_CONFIG_REACHABLE_H_
#define POSTERN_PROXY_CONFIG_REACHABLE_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/config/config.h"
#include "proxy/pop3/mechanism.h"

namespace postern::config {

// Indices of the backends that some route leads to, ascending. A map may name any.
std::vector<size_t> RouteBackends(const Config& config);

// Those that clients of this listener can be led to, by its own `backend` and `server_names` or by
// the routes; ascending. Users who are moved by hand go beyond it.
std::vector<size_t> ReachableBackends(const Config& config, const Listener& listener);

// The SASL mechanisms that the listener offers as far as the configuration decides it.
const std::vector<pop3::Mechanism>& MechanismsOf(const Config& config, const Listener& listener);

// Where whoever comes in here and asked for this name in the handshake ("": none) goes, whatever
// the routes say; -1: the routes say.
int OwnBackend(const Listener& listener, absl::string_view server_name);

// The first pool that has the backend: it says what happens when logins fail there. -1: none has.
int FirstPoolOf(const Config& config, int backend);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_REACHABLE_H_
