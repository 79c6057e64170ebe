// postern drain, undrain, disable, enable, weight and status: verbs that talk to a running server.
#ifndef POSTERN_PROXY_ADMIN_SERVICE_VERBS_H_
#define POSTERN_PROXY_ADMIN_SERVICE_VERBS_H_

#include <string>

#include "proxy/config/config.h"

namespace postern::admin {

struct ServiceChange {
  std::string verb;  // as in the API
  std::string backend;
  std::string reason;
  std::string over;    // of a drain: "10m"; empty: sessions may stay
  std::string weight;  // verb "weight": a number, or "configured"
  bool wait = false;   // until no session is left
};

// Exit codes.
int ChangeService(const std::string& config_file, const ServiceChange& change);
// Tells how many sessions the backend has, until it has none.
int WaitForSessions(const config::Admin& admin, const std::string& backend);
int ShowStatus(const std::string& config_file);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_SERVICE_VERBS_H_
