// From what a [[lookup]] says of its servers to the sources that its threads ask.
#ifndef POSTERN_PROXY_LOOKUP_SOURCE_MAKER_H_
#define POSTERN_PROXY_LOOKUP_SOURCE_MAKER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/config/lookup.h"
#include "routing/lookup/lookup_options.h"

namespace postern {

// What makes the sources of a lookup. Reads the password file; the error is its. Not while sources
// of the same configuration are being made.
absl::StatusOr<routing::LookupFactory> PrepareLookup(const config::Lookup& lookup);

// One of the servers that a lookup asks.
struct LookupServer {
  std::string name;              // its address, for people
  routing::LookupFactory alone;  // a source that asks this one only
};

// Every server of the lookup, in the order in which they are asked, for those who look at each. As
// PrepareLookup(); sources of the same lookup are made one at a time, each on its thread.
absl::StatusOr<std::vector<LookupServer>> PrepareLookupServers(const config::Lookup& lookup);

}  // namespace postern

#endif  // POSTERN_PROXY_LOOKUP_SOURCE_MAKER_H_
