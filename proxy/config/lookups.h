// The [[lookup]] tables: one function for each type's own keys.
#ifndef POSTERN_PROXY_CONFIG_LOOKUPS_H_
#define POSTERN_PROXY_CONFIG_LOOKUPS_H_

#include <cstdint>
#include <string>

#include "proxy/config/diagnostics.h"
#include "proxy/config/lookup.h"
#include "proxy/config/table_reader.h"
#include "proxy/config/toml_tree.h"

namespace postern::config {

// Reads the keys of one type and sets `traits` and `make`. Mistakes go to the reader or to
// `diagnostics`. `file_name` is that of the configuration, for ResolvePath().
using LookupParser = void (*)(TableReader* reader, const std::string& file_name,
                              Diagnostics* diagnostics, Lookup* lookup);

// Of everything that is written in the table; the same for the same values, wherever they stand.
uint64_t FingerprintOf(const TomlNode& table);

// lookup_auth_http.cc
void ParseAuthHttpLookup(TableReader* reader, const std::string& file_name,
                         Diagnostics* diagnostics, Lookup* lookup);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_LOOKUPS_H_
