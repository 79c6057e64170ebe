#include "proxy/door.h"

namespace postern {

bool LetIn(const Snapshot& snapshot, size_t listener, int fd, io::Io* io,
           metrics::WorkerStats* stats) {
  if (snapshot.guard == nullptr) return true;
  const guard::Options& options = snapshot.config.guard;
  if (!options.has_lists() && !options.limits_rates()) return true;
  const config::Listener& at = snapshot.config.listeners[listener];
  if (at.proxy_protocol) return true;
  const SocketAddress client = io->PeerAddress(fd);
  // They speak for others, who are asked about when XCLIENT has named them.
  if (ContainsAddress(at.xclient_networks, client)) return true;
  const GuardRefusal refusal =
      snapshot.guard->LetIn(options, snapshot.address_lists.get(), client, at.name, io->Now());
  if (refusal == GuardRefusal::kNone) return true;
  stats->listener(snapshot.listener_stats[listener])
      .guard_refusals[static_cast<size_t>(refusal)]
      .Add();
  return false;
}

}  // namespace postern
