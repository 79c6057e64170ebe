// Where the routes of a configuration can lead.
#ifndef POSTERN_PROXY_CONFIG_REACHABLE_H_
#define POSTERN_PROXY_CONFIG_REACHABLE_H_

#include <cstddef>
#include <vector>

#include "proxy/config/config.h"

namespace postern::config {

// Indices of the backends that some route or listener leads to, ascending. A map may name any.
std::vector<size_t> ReachableBackends(const Config& config);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_REACHABLE_H_
