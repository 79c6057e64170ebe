// What a reload cannot change: keys that count as they stood when the process started, and sockets
// that are as they were when they were opened.
#ifndef POSTERN_PROXY_SINCE_START_H_
#define POSTERN_PROXY_SINCE_START_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "proxy/config/config.h"

namespace postern {

// Main thread.
class SinceStart {
 public:
  // Once.
  void Begin(const config::Config& config);

  // `config` is in use from now on: sockets for addresses that were not listened on before have
  // been opened as it says, the others were closed.
  void Use(const config::Config& config);

  // Keys for which `wanted` says something else than what is in use, as an operator writes them.
  std::vector<std::string> WaitingForRestart(const config::Config& wanted) const;

  const config::Log& log() const { return started_.log; }

 private:
  struct Socket {
    bool v6only = true;
    int backlog = 0;
  };
  config::Config started_;
  std::map<std::string, Socket> sockets_;  // by address
  size_t guard_entries_ = 0;               // of the tables, once they are made
};

}  // namespace postern

#endif  // POSTERN_PROXY_SINCE_START_H_
