// One [[lookup]] table, read and judged.
#ifndef POSTERN_PROXY_CONFIG_LOOKUP_H_
#define POSTERN_PROXY_CONFIG_LOOKUP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/ip_network.h"
#include "routing/lookup/lookup_options.h"

namespace postern::config {

struct Lookup {
  std::string type;
  routing::LookupOptions options;
  routing::LookupTraits traits;  // what the type is like
  routing::LookupFactory make;   // its source, for one thread
  // Addresses that an answer may lead to; empty: any but those that are no server's.
  std::vector<IpNetwork> networks;
  // That the source will read: they are looked at before a configuration is taken into use.
  std::vector<std::string> files;
  // Of everything that is written in the table: a reload that changes nothing here keeps what is
  // remembered and connected.
  uint64_t fingerprint = 0;
  int line = 0;
};

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_LOOKUP_H_
