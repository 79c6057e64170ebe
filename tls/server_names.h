// Which certificates answer for which server name (SNI, RFC 6066 section 3).
//
// Built once from the names inside the certificates; looking a name up allocates nothing and
// remembers nothing, whatever a client sends.
#ifndef POSTERN_TLS_SERVER_NAMES_H_
#define POSTERN_TLS_SERVER_NAMES_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace postern::tls {

inline constexpr size_t kServerNameBytesMax = 255;

// True for a host name or "*." in front of one: letters, digits, '-', '_' and single dots.
bool IsServerName(absl::string_view name, bool wildcard_allowed);

// The host name inside the body of a server_name extension; empty when there is none or the body
// is malformed.
absl::string_view HostNameFromExtension(absl::string_view body);

class ServerNames {
 public:
  // `name` is exact or a wildcard for one label ("*.example.net"). The first entry for a name
  // stays.
  void Add(absl::string_view name, size_t value);
  // Exact before wildcard, without regard to case; a trailing dot is ignored. `otherwise` when the
  // name is unknown or no host name at all.
  size_t Find(absl::string_view name, size_t otherwise) const;

 private:
  absl::flat_hash_map<std::string, size_t> exact_;
  absl::flat_hash_map<std::string, size_t> wildcard_;  // keyed by what follows "*."
};

}  // namespace postern::tls

#endif  // POSTERN_TLS_SERVER_NAMES_H_
