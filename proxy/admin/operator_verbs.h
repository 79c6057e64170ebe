// postern sessions, kick, hold, release, move and moves: users and sessions of a running server.
#ifndef POSTERN_PROXY_ADMIN_OPERATOR_VERBS_H_
#define POSTERN_PROXY_ADMIN_OPERATOR_VERBS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "proxy/admin/move_verb.h"
#include "proxy/operator_actions.h"

namespace CLI {
class App;
}

namespace postern::admin {

class OperatorVerbs {
 public:
  // Adds the verbs to `app`; `with_config` gives each its --config. Both the app and this object
  // live until Run().
  OperatorVerbs(CLI::App* app, const std::function<CLI::App*(CLI::App*)>& with_config);
  OperatorVerbs(const OperatorVerbs&) = delete;
  OperatorVerbs& operator=(const OperatorVerbs&) = delete;

  // The exit code, when one of the verbs was given.
  std::optional<int> Run(const std::string& config_file) const;

 private:
  int Sessions(const std::string& config_file) const;
  int Kick(const std::string& config_file) const;
  int HoldOrRelease(const std::string& config_file, bool hold) const;
  int Moves(const std::string& config_file) const;

  CLI::App* sessions_ = nullptr;
  CLI::App* kick_ = nullptr;
  CLI::App* hold_ = nullptr;
  CLI::App* release_ = nullptr;
  CLI::App* move_ = nullptr;
  CLI::App* moves_ = nullptr;
  SessionQuery query_;
  std::string reason_;
  std::string target_;  // of a hold: a user, or "@domain"
  std::string hash_range_;
  uint64_t limit_ = 1000;
  bool json_ = false;
  MoveCommand command_;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_OPERATOR_VERBS_H_
