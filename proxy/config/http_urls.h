// The keys of whoever asks a service over HTTP: where, and whose certificates count.
#ifndef POSTERN_PROXY_CONFIG_HTTP_URLS_H_
#define POSTERN_PROXY_CONFIG_HTTP_URLS_H_

#include <string>
#include <vector>

#include "proxy/config/diagnostics.h"
#include "proxy/config/table_reader.h"
#include "routing/lookup/http_client.h"

namespace postern::config {

// `urls`, which must be there and not be empty, and `ca`. Mistakes go to the reader or to
// `diagnostics`. `file_name` is that of the configuration, for ResolvePath(). `example`: of a URL.
void ReadHttpUrls(TableReader* reader, const std::string& file_name, Diagnostics* diagnostics,
                  absl::string_view example, std::vector<routing::HttpUrl>* urls,
                  std::string* ca_file);

}  // namespace postern::config

#endif  // POSTERN_PROXY_CONFIG_HTTP_URLS_H_
