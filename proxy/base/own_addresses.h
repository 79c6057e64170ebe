// Whether somebody who connects to an address would reach one of our own listeners: a login sent
// there would come back, and be sent there again.
#ifndef POSTERN_PROXY_BASE_OWN_ADDRESSES_H_
#define POSTERN_PROXY_BASE_OWN_ADDRESSES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "proxy/base/socket_address.h"

namespace postern {

class OwnAddresses {
 public:
  struct Listener {
    SocketAddress address;
    bool v6only = false;
  };

  // Nobody is ours.
  OwnAddresses() = default;
  // `interfaces`: the machine's addresses as IpText() writes them, which listeners on all addresses
  // have; loopback is one without being named.
  OwnAddresses(std::vector<Listener> listeners, absl::flat_hash_set<std::string> interfaces)
      : listeners_(std::move(listeners)), interfaces_(std::move(interfaces)) {}

  bool Has(const SocketAddress& address) const;

 private:
  std::vector<Listener> listeners_;
  absl::flat_hash_set<std::string> interfaces_;
};

// The addresses of this machine's interfaces now; none when the system does not tell.
absl::flat_hash_set<std::string> InterfaceAddresses();

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_OWN_ADDRESSES_H_
