// The [[lookup]] tables: one function for each type's own keys.
#ifndef POSTERN_PROXY_CONFIG_LOOKUPS_H_
#define POSTERN_PROXY_CONFIG_LOOKUPS_H_

#include <string>

#include "proxy/config/diagnostics.h"
#include "proxy/config/lookup.h"
#include "proxy/config/table_reader.h"

namespace postern::config {

// Reads the keys of one type and sets `traits` and `make`. Mistakes go to the reader or to
// `diagnostics`. `file_name` is that of the configuration, for ResolvePath().
using LookupParser = void (*)(TableReader* reader, const std::string& file_name,
                              Diagnostics* diagnostics, Lookup* lookup);

// lookup_auth_http.cc
void ParseAuthHttpLookup(TableReader* reader, const std::string& file_name,
                         Diagnostics* diagnostics, Lookup* lookup);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_LOOKUPS_H_
