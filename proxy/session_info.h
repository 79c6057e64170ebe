// Live sessions as an operator sees them, and which of them an operator means.
#ifndef POSTERN_PROXY_SESSION_INFO_H_
#define POSTERN_PROXY_SESSION_INFO_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "proxy/base/close_reason.h"
#include "proxy/base/ip_network.h"
#include "proxy/base/time.h"
#include "routing/group_overrides.h"

namespace postern {

// A copy of what is known of one session at one moment. Text from peers is not escaped.
struct SessionInfo {
  uint64_t id = 0;
  std::string user;      // normalised, of the last attempt; empty before
  std::string client;    // address and port
  std::string listener;  // its name
  std::string backend;   // where it is logged in, or on the way; empty: nowhere
  Phase phase = Phase::kAccepted;
  TimeNs accepted_at = 0;
  DurationNs age = 0;
  DurationNs idle = 0;             // since the last byte either way; 0 before the login
  uint64_t bytes_from_client = 0;  // after the login
  uint64_t bytes_to_client = 0;
};

// All that is set must match. An empty filter means every session.
struct SessionFilter {
  std::optional<uint64_t> id;
  std::string user;                         // normalised
  std::optional<routing::UserGroup> group;  // of one of these
  std::string backend;                      // logged in there, or on the way
  std::optional<IpNetwork> network;
  // Any of these users, normalised; null: any user.
  std::shared_ptr<const absl::flat_hash_set<std::string>> users;
  // Only those that are at a backend, or on the way there.
  bool joined = false;
};

struct SessionPage {
  std::vector<SessionInfo> sessions;  // oldest first
  uint64_t matching = 0;              // how many there are, listed or not
  // False when a worker did not answer in time: its sessions are missing.
  bool complete = true;
};

struct KickResult {
  uint64_t kicked = 0;
  bool complete = true;  // as above
};

}  // namespace postern

#endif  // POSTERN_PROXY_SESSION_INFO_H_
