// What sources that ask one of several equal servers have in common: they stay with the one that
// answered, mend a broken connection, and go to the next server when one fails.
#ifndef POSTERN_ROUTING_LOOKUP_SERVER_SOURCE_H_
#define POSTERN_ROUTING_LOOKUP_SERVER_SOURCE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "proxy/base/secret.h"
#include "routing/lookup/deadline.h"
#include "routing/lookup/source.h"

namespace postern::routing {

// TLS towards the servers of a source.
struct LookupTls {
  bool on = false;
  std::string ca_file;    // empty: the system's
  bool insecure = false;  // no certificate is verified
};

// A copy with a zero byte behind it, for C libraries.
Secret Terminated(const Secret& text);

class ServerSource : public LookupSource {
 public:
  // Each server gets an equal share of the time that is left. A connection that broke while it lay
  // idle is made anew at the same server; a new one that fails sends us to the next, at most once
  // around.
  LookupAnswer Ask(const LookupQuestion& question, Deadline deadline) final;

 protected:
  explicit ServerSource(size_t servers) : servers_(servers) {}

  // Connects to server `index`, up to the point where it can be asked. An error leaves no
  // connection. Errors name the server and hold no secret.
  virtual absl::Status Connect(size_t index, Deadline deadline) = 0;
  virtual void Disconnect() = 0;
  virtual bool connected() const = 0;
  // Asks the connected server. Nothing: the connection is of no use any more, *why says so.
  virtual std::optional<LookupAnswer> AskServer(const LookupQuestion& question, Deadline deadline,
                                                std::string* why) = 0;

 private:
  const size_t servers_;
  size_t current_ = 0;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_SERVER_SOURCE_H_
