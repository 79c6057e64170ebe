// `postern serve`: the proxy with its admin endpoint, until a signal ends it.
#ifndef POSTERN_PROXY_ADMIN_SERVE_H_
#define POSTERN_PROXY_ADMIN_SERVE_H_

#include <string>

namespace postern::admin {

// Runs in the foreground and returns the exit status. SIGTERM and SIGINT drain and end it, SIGHUP
// reads the configuration and the certificates again and reopens the session log.
int Serve(const std::string& config_file);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_SERVE_H_
