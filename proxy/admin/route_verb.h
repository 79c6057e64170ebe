// postern route: where a user's logins go, and how; or how many users another configuration moves.
#ifndef POSTERN_PROXY_ADMIN_ROUTE_VERB_H_
#define POSTERN_PROXY_ADMIN_ROUTE_VERB_H_

#include <string>

namespace postern::admin {

struct RouteQuestion {
  std::string user;
  std::string from;           // the client's address; empty: an example
  std::string sni;            // the name it asks for in TLS
  std::string listener;       // the name of the one it comes in at; empty: the first
  std::string password_file;  // with the user's password, for lookups that judge it
  std::string diff;           // the other configuration file
  std::string users;          // the file of users to compare
};

// Exit codes.
int ExplainUser(const std::string& config_file, const RouteQuestion& question);
int CompareConfigurations(const std::string& config_file, const RouteQuestion& question);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_ROUTE_VERB_H_
