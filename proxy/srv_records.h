// SRV records (RFC 2782): which servers stand behind one service name, and in which order to try
// them. Pure functions, any thread.
#ifndef POSTERN_PROXY_SRV_RECORDS_H_
#define POSTERN_PROXY_SRV_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"

namespace postern {

struct SrvRecord {
  uint16_t priority = 0;  // lower ones first
  uint16_t weight = 0;    // the share among those of one priority
  uint16_t port = 0;
  std::string target;  // a host name without a trailing dot
  DurationNs ttl = 0;
};

// More of them in one answer are left out.
inline constexpr size_t kSrvRecordsMax = 64;

// The SRV records of a whole DNS message (RFC 1035 section 4) in its order. An error when it is
// malformed, names no server, or says that there is no such service (a target of ".").
absl::StatusOr<std::vector<SrvRecord>> ParseSrvAnswer(absl::string_view message);

// What a record became when its target was looked up.
struct SrvServer {
  uint16_t priority = 0;
  uint16_t weight = 0;
  std::vector<SocketAddress> addresses;  // of one host, with the port
};

// Orders of all addresses, to be used in turn: in each the priorities follow one another, and over
// all of them each server of the first priority stands in front as often as its weight says. Equal
// servers give equal orders. One order when only one is possible.
std::vector<std::vector<SocketAddress>> OrdersOf(std::vector<SrvServer> servers);

}  // namespace postern

#endif  // POSTERN_PROXY_SRV_RECORDS_H_
