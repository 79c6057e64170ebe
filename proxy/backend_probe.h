// Talks to one server once, the way a login does, and says what it was like. For tools that an
// operator waits for: it blocks.
#ifndef POSTERN_PROXY_BACKEND_PROBE_H_
#define POSTERN_PROXY_BACKEND_PROBE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "metrics/worker_stats.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/channel.h"
#include "proxy/config/config.h"
#include "proxy/coro/task.h"
#include "proxy/io/io.h"
#include "proxy/offer_book.h"
#include "proxy/upstream_login.h"
#include "tls/context.h"

namespace postern {

// What is asked, and how far.
struct ProbeQuestion {
  const config::Backend* backend = nullptr;
  SocketAddress address;
  const tls::ClientContext* tls = nullptr;  // null when the server speaks plain
  UpstreamGoal goal = UpstreamGoal::kCapabilities;
  // For kLoggedIn. The password is the user's, or with a master login the master's.
  absl::string_view user;
  absl::string_view password;
  OfferBook* offers = nullptr;  // where the answer to CAPA is noted; null: nowhere
  size_t backend_index = 0;
};

struct ProbeAnswer {
  UpstreamVerdict verdict;      // kAccepted: the goal was reached
  std::string greeting;         // its line, not escaped; empty when none came
  SocketAddress local;          // our end; empty when there was no connection
  absl::string_view tls_error;  // one of tls::kErrorWords, when TLS failed
  std::string tls_version;
  std::optional<tls::PeerCertificate> certificate;
  DurationNs took = 0;
};

class BackendProbe {
 public:
  // `timeouts` limits each step. Both outlive the probe.
  BackendProbe(io::Io* io, const config::Timeouts* timeouts) : io_(io), timeouts_(timeouts) {}

  ProbeAnswer Ask(const ProbeQuestion& question);

 private:
  coro::Task<void> Run(const ProbeQuestion* question, ProbeAnswer* answer);

  io::Io* io_;
  const config::Timeouts* timeouts_;
  BlockPool blocks_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BACKEND_PROBE_H_
