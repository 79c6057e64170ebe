#include "proxy/since_start.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace postern {

void SinceStart::Begin(const config::Config& config) { started_ = config; }

void SinceStart::Use(const config::Config& config) {
  if (guard_entries_ == 0 && config.guard.any()) guard_entries_ = config.guard.entries;
  std::map<std::string, Socket> sockets;
  for (const config::Listener& listener : config.listeners) {
    const std::string address = listener.address.ToString();
    const auto open = sockets_.find(address);
    sockets[address] =
        open != sockets_.end() ? open->second : Socket{listener.v6only, listener.backlog};
  }
  sockets_ = std::move(sockets);
}

std::vector<std::string> SinceStart::WaitingForRestart(const config::Config& wanted) const {
  std::vector<std::string> keys;
  const auto compare = [&keys](bool differs, absl::string_view key) {
    if (differs) keys.emplace_back(key);
  };
  const config::Config& now = started_;
  compare(wanted.workers != now.workers, "workers");
  compare(wanted.io != now.io, "io");
  compare(wanted.admin.address != now.admin.address, "admin.address");
  compare(wanted.admin.token_file != now.admin.token_file, "admin.token_file");
  compare(wanted.admin.state_file != now.admin.state_file, "admin.state_file");
  compare(wanted.log.sessions != now.log.sessions, "log.sessions");
  compare(wanted.log.format != now.log.format, "log.format");
  compare(wanted.limits.sessions_max != now.limits.sessions_max, "limits.sessions");
  compare(wanted.guard.any() && guard_entries_ != 0 && wanted.guard.entries != guard_entries_,
          "guard.entries");
  for (const config::Listener& listener : wanted.listeners) {
    const auto open = sockets_.find(listener.address.ToString());
    if (open == sockets_.end()) continue;
    compare(listener.v6only != open->second.v6only,
            absl::StrCat("v6only of listener ", listener.name));
    compare(listener.backlog != open->second.backlog,
            absl::StrCat("backlog of listener ", listener.name));
  }
  compare(wanted.limits.receive_buffers != now.limits.receive_buffers ||
              wanted.limits.receive_buffer_bytes != now.limits.receive_buffer_bytes,
          "limits.receive_buffers or receive_buffer_bytes");
  return keys;
}

}  // namespace postern
