// What an operator decides about who is let in. Plain values; everything is off by default.
#ifndef POSTERN_PROXY_GUARD_OPTIONS_H_
#define POSTERN_PROXY_GUARD_OPTIONS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "proxy/base/ip_network.h"
#include "proxy/base/time.h"

namespace postern::guard {

// At the same time, all workers together; 0: any number.
struct SessionLimits {
  int user = 0;  // logged in
  int ip = 0;    // connected
  int prefix = 0;
};

// `count` at once, and again `count` in each period; 0: any number.
struct Rate {
  int count = 0;
  DurationNs period = kSecond;

  DurationNs interval() const { return period / count; }
};

// New connections.
struct ConnectionRates {
  Rate ip;
  Rate prefix;
  Rate listener;
};

// Failed logins that are not forgotten yet, at which further ones are refused; 0: never. Before
// that, from a quarter of the number on, each attempt waits, longer and longer, before anybody is
// asked.
struct FailureRules {
  bool on = false;
  int user = 20;
  int ip = 40;
  int prefix = 400;
  DurationNs forget = 60 * kSecond;  // one of them
  DurationNs delay = kSecond;
  DurationNs delay_max = 15 * kSecond;
};

struct Options {
  // What counts as one network.
  int ipv4_prefix = 24;
  int ipv6_prefix = 64;
  std::vector<IpNetwork> exempt;  // from everything but the lists
  SessionLimits sessions;
  ConnectionRates connections;
  FailureRules failures;
  DurationNs login_delay = 0;  // between two logins of a user, where the pool says nothing else
  bool login_delays = false;   // of this or of any pool: one is there
  DurationNs known_for = 30 * 24 * 3600 * kSecond;  // a user's network, from a good login on
  std::vector<std::string> allow_files;
  std::vector<std::string> deny_files;
  bool deny_unlisted = false;  // who is on no list
  size_t entries = 262144;     // of each table that forgets

  bool limits_places() const { return sessions.ip > 0 || sessions.prefix > 0; }
  bool limits_rates() const {
    return connections.ip.count > 0 || connections.prefix.count > 0 ||
           connections.listener.count > 0;
  }
  bool has_lists() const { return !allow_files.empty() || !deny_files.empty(); }
  // Whether something is asked when a user logs in.
  bool guards_logins() const { return failures.on || sessions.user > 0 || login_delays; }
  bool any() const { return limits_places() || limits_rates() || has_lists() || guards_logins(); }
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_OPTIONS_H_
