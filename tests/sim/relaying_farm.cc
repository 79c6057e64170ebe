// Farms whose listeners greet in a backend's words.
#include <algorithm>

#include "tests/sim/farm.h"

namespace postern::sim {

void Farm::RelayGreetings(config::Config* config) const {
  const bool tells =
      std::any_of(spec_.backends.begin(), spec_.backends.end(), [](const BackendSpec& backend) {
        return backend.proxy_protocol != config::UpstreamProxy::kOff;
      });
  for (size_t i = 0; i < config->listeners.size(); ++i) {
    config::Listener& listener = config->listeners[i];
    // The configuration is refused where a PROXY header would go out before XCLIENT comes in.
    if (tells && !listener.xclient_networks.empty()) continue;
    listener.relays_greeting = true;
    if (spec_.backends.size() == 1) {
      listener.only_backend = 0;
    } else {
      listener.backend = static_cast<int>(i % spec_.backends.size());
    }
  }
}

}  // namespace postern::sim
