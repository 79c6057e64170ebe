// postern add and remove: backends of a running server.
#ifndef POSTERN_PROXY_ADMIN_BACKEND_VERBS_H_
#define POSTERN_PROXY_ADMIN_BACKEND_VERBS_H_

#include <functional>
#include <optional>
#include <string>

#include "proxy/config/overlay.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace postern::admin {

class BackendVerbs {
 public:
  // As OperatorVerbs.
  BackendVerbs(CLI::App* app, const std::function<CLI::App*(CLI::App*)>& with_config);
  BackendVerbs(const BackendVerbs&) = delete;
  BackendVerbs& operator=(const BackendVerbs&) = delete;

  // The exit code, when one of the verbs was given.
  std::optional<int> Run(const std::string& config_file) const;

 private:
  int Add(const config::Admin& admin) const;
  int Remove(const config::Admin& admin) const;

  CLI::App* add_ = nullptr;
  CLI::App* remove_ = nullptr;
  CLI::Option* weight_option_ = nullptr;
  config::AddedBackend wanted_;
  int weight_ = 0;
  std::string over_;
  bool wait_ = false;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_BACKEND_VERBS_H_
