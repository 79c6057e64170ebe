// Host names and services of backends, looked up off the loop and again when what is known runs
// out.
//
// One thread asks (proxy/name_client.h). An answer is used as long as its records live, and not
// longer than an interval; a failed look-up keeps the last good answer however old it is. Workers
// read the address book and never wait.
#ifndef POSTERN_PROXY_RESOLVER_H_
#define POSTERN_PROXY_RESOLVER_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/address_book.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"

namespace postern {

class Resolver {
 public:
  struct Target {
    size_t backend;    // index into the book
    std::string name;  // of the backend, for the log
    HostPort address;  // a host name and a port, or a service
  };

  Resolver();
  // Does not wait for a look-up in progress; its answer is dropped.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // From now on keeps `book` up to date, instead of what was watched before: each name is looked up
  // again when its records have run out, after a second at the soonest and `interval` at the
  // latest. Answers that were known for the same name and port are put in at once. Any thread.
  // `servers`: name servers to ask instead of the machine's (NameClient).
  void Watch(std::shared_ptr<AddressBook> book, std::vector<Target> targets, DurationNs interval,
             const std::string& servers = "");

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
