// Asks for the addresses of names: /etc/hosts and DNS, by c-ares; what these do not know, by
// getaddrinfo(3), so that whatever else the machine is set up with counts.
#ifndef POSTERN_PROXY_NAME_CLIENT_H_
#define POSTERN_PROXY_NAME_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"

namespace postern {

struct NameAnswer {
  // Addresses, in one or several orders that are used in turn; empty when the look-up failed.
  std::vector<std::vector<SocketAddress>> orders;
  DurationNs ttl = 0;  // of the record that runs out first; 0: none is known
  std::string error;   // set when `orders` is empty
};

// What was found, in an order that does not change from one look-up to the next although name
// servers rotate their answers: the families as they were preferred, each sorted; no address twice.
std::vector<SocketAddress> InFixedOrder(const std::vector<SocketAddress>& found);

// One thread.
class NameClient {
 public:
  // `servers`: name servers to ask instead of the machine's, "127.0.0.1:53,[::1]:53".
  explicit NameClient(const std::string& servers = "");
  ~NameClient();
  NameClient(const NameClient&) = delete;
  NameClient& operator=(const NameClient&) = delete;

  // All names at the same time, each a host name and a port or a service (HostPort::srv). Takes as
  // long as the slowest; with dead name servers about three seconds, twice that for a service.
  std::vector<NameAnswer> LookUp(const std::vector<HostPort>& names);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_NAME_CLIENT_H_
