#include "proxy/base/own_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"

namespace postern {
namespace {

bool IsWildcard(const SocketAddress& address) {
  const std::string ip = address.IpText();
  return ip == "0.0.0.0" || ip == "::";
}

}  // namespace

bool OwnAddresses::Has(const SocketAddress& address) const {
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const Listener& listener) {
    const SocketAddress& own = listener.address;
    if (own == address) return true;
    if (own.is_unix() || address.is_unix() || own.port() != address.port()) return false;
    // An IPv6 listener has the IPv4 addresses, too, unless it says otherwise.
    const bool both = own.family() == AF_INET6 && !listener.v6only;
    if (!IsWildcard(own) || (own.family() != address.family() && !both)) return false;
    return address.is_loopback() || IsWildcard(address) || interfaces_.contains(address.IpText());
  });
}

absl::flat_hash_set<std::string> InterfaceAddresses() {
  absl::flat_hash_set<std::string> found;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  const absl::Cleanup freed = [list] { freeifaddrs(list); };
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    found.insert(SocketAddress(entry->ifa_addr, length).IpText());
  }
  return found;
}

}  // namespace postern
