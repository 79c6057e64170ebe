// The one spelling of a user that routes, limits, logs and is forwarded.
//
// In this order: spaces and tabs at both ends go; `strip_domain` takes its domain away; the domain,
// the part behind the last '@', is put in lower case (ASCII only); a name without a domain gets
// `default_domain`. With both options set a stripped name therefore ends up in the default domain.
// Local parts keep their case unless `lowercase_local` says otherwise, bytes above 0x7F are
// untouched: what they mean is the backend's business. Pure functions, any thread.
#ifndef POSTERN_ROUTING_USER_KEY_H_
#define POSTERN_ROUTING_USER_KEY_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "routing/options.h"

namespace postern::routing {

// RFC 5321, 4.5.3.1: 64 octets of local part, '@', 255 of domain.
inline constexpr size_t kUserBytesMax = 320;

// What normalisation did to a name, for explanations.
struct UserChanges {
  bool trimmed = false;
  bool stripped = false;    // the domain was taken away
  bool lowercased = false;  // the domain was written with capitals
  bool lowered = false;     // the local part was
  bool appended = false;    // the default domain was added
};

// Writes the normalised name to *key, reusing its memory. InvalidArgument says why the name is
// unusable (empty, too long, control bytes, nothing before or behind the '@') and never repeats it;
// *key is then unspecified.
absl::Status NormaliseUser(const UserOptions& options, absl::string_view login, std::string* key,
                           UserChanges* changes = nullptr);

// The domain of "*@domain", in the spelling of normalised users. InvalidArgument when it is
// malformed or can never match because `strip_domain` takes it from every user.
absl::Status NormaliseDomainPattern(const UserOptions& options, absl::string_view pattern,
                                    std::string* domain);
// True for anything that begins with "*@".
bool IsDomainPattern(absl::string_view pattern);

// The part behind the last '@'; empty without one. A view of `key`.
absl::string_view DomainOf(absl::string_view key);

// Whether default_domain and strip_domain are usable.
absl::Status CheckUserOptions(const UserOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_USER_KEY_H_
