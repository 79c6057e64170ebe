// Where the routes of a configuration can lead.
#ifndef POSTERN_PROXY_CONFIG_REACHABLE_H_
#define POSTERN_PROXY_CONFIG_REACHABLE_H_

#include <cstddef>
#include <vector>

#include "proxy/config/config.h"

namespace postern::config {

// Indices of the backends that some route or listener leads to, ascending. A map may name any.
std::vector<size_t> ReachableBackends(const Config& config);

// The first pool that has the backend: it says what happens when logins fail there. -1: none has.
int FirstPoolOf(const Config& config, int backend);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_REACHABLE_H_
