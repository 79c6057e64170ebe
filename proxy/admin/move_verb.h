// postern move: one user, all that stand in a file, a domain, or a range of hashes.
#ifndef POSTERN_PROXY_ADMIN_MOVE_VERB_H_
#define POSTERN_PROXY_ADMIN_MOVE_VERB_H_

#include <string>

namespace postern::admin {

struct MoveCommand {
  std::string user;  // or "*@domain" or "@domain" for all its users, or hash_range, or file
  std::string hash_range;
  std::string file;  // one user a line; empty lines and those that begin with '#' mean nothing
  std::string to;    // or back
  bool back = false;
  std::string patience = "10s";
  int max_parallel = 100;
  bool dry_run = false;
  bool force = false;
  std::string reason;
};

// Asks the running server for it and tells how it goes until it is over. The exit code. May be
// interrupted and repeated: what was begun is finished by the server, and who is there already is
// left alone.
int RunMove(const std::string& config_file, const MoveCommand& command);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_MOVE_VERB_H_
