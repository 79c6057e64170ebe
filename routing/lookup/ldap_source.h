// Asks a directory by LDAPv3 (RFC 4511), through OpenLDAP's libldap.
#ifndef POSTERN_ROUTING_LOOKUP_LDAP_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_LDAP_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/base/secret.h"
#include "routing/lookup/server_source.h"
#include "routing/lookup/source.h"

namespace postern::routing {

enum class LdapScope { kBase, kOne, kSub };

struct LdapOptions {
  // "ldap://host:389", "ldaps://host", "ldapi://%2Frun%2Fslapd%2Fldapi"; in the order in which they
  // are tried.
  std::vector<std::string> uris;
  bool start_tls = false;          // on ldap:// connections; what cannot be encrypted is not used
  std::string ca_file;             // for ldaps:// and start_tls; empty: the system's
  bool insecure = false;           // no certificate is verified
  std::string bind_dn;             // empty: anonymous
  std::string bind_password_file;  // read by whoever makes the source ...
  Secret bind_password;            // ... into this
  std::string base;                // the DN under which users are
  LdapScope scope = LdapScope::kSub;
  // RFC 4515, with {user}, {local} and {domain}: "(&(objectClass=mailUser)(mail={user}))".
  std::string filter;
  std::string target_attribute = "mailHost";
  std::string login_user_attribute;    // empty: none
  std::string login_secret_attribute;  // empty: none
};

// A value as a filter wants it (RFC 4515 section 3): whatever might mean something, and all that is
// no ASCII, becomes \XX.
std::string EscapeFilterValue(absl::string_view value);

// An entry without the target attribute is kForbidden. `options` is copied, the password too.
std::unique_ptr<LookupSource> MakeLdapSource(const LdapOptions& options);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_LDAP_SOURCE_H_
