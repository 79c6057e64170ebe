// Where the routes of a configuration can lead.
#ifndef POSTERN_PROXY_CONFIG_REACHABLE_H_
#define POSTERN_PROXY_CONFIG_REACHABLE_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/config/config.h"

namespace postern::config {

// Indices of the backends that some route or listener leads to, ascending. A map may name any.
std::vector<size_t> ReachableBackends(const Config& config);

// Where whoever comes in here and asked for this name in the handshake ("": none) goes, whatever
// the routes say; -1: the routes say.
int OwnBackend(const Listener& listener, absl::string_view server_name);

// The first pool that has the backend: it says what happens when logins fail there. -1: none has.
int FirstPoolOf(const Config& config, int backend);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_REACHABLE_H_
