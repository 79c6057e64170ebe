// Host names of backends, looked up off the loop and again every so often.
//
// One thread calls getaddrinfo(3), so whatever the machine is set up with (files, DNS, LDAP)
// counts. A failed look-up keeps the last good answer; workers read the address book and never
// wait.
#ifndef POSTERN_PROXY_RESOLVER_H_
#define POSTERN_PROXY_RESOLVER_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/address_book.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"

namespace postern {

// What getaddrinfo(3) found, in an order that does not change from one look-up to the next although
// name servers rotate their answers: the families as it prefers them, each sorted; no address
// twice.
std::vector<SocketAddress> InFixedOrder(const std::vector<SocketAddress>& found);

// Asks getaddrinfo(3) now, for an IP literal too. Null when it knows no address; *error says why.
// Blocks.
AddressList LookUpAddresses(const HostPort& address, std::string* error);

class Resolver {
 public:
  struct Target {
    size_t backend;    // index into the book
    std::string name;  // of the backend, for the log
    HostPort address;  // a host name and a port
  };

  Resolver();
  // Does not wait for a look-up in progress; its answer is dropped.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // From now on keeps `book` up to date, instead of what was watched before. Answers that were
  // known for the same host and port are put into it at once. Any thread.
  void Watch(std::shared_ptr<AddressBook> book, std::vector<Target> targets, DurationNs interval);

  // Waits until every target was looked up once, or has addresses from an earlier time; at most
  // `patience`. Returns whether it came to that.
  bool WaitForFirstAnswers(DurationNs patience);

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_RESOLVER_H_
