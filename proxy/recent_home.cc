// Users of pools with `affinity_for`, who go where they were of late.
#include <algorithm>

#include "proxy/session.h"

namespace postern {

// Puts the user's last backend in front of the others, where it belongs to the pool and takes new
// users. One that is being emptied does not, and a backup is nobody's home.
void Session::PreferRecentHome(routing::Decision* route) const {
  if (route->moved || route->pool < 0 || route->candidate_count == 0) return;
  const routing::PoolOptions& pool = config().routing.pools[static_cast<size_t>(route->pool)];
  if (pool.affinity_for == 0) return;
  const Snapshot& shared = *snapshot_->shared;
  const TimeNs now = io_->Now();
  const std::shared_ptr<routing::BackendState> home = shared.recent_homes->Find(user_, now);
  if (home == nullptr || !home->usable(now)) return;
  const auto place = std::find_if(pool.backends.begin(), pool.backends.end(), [&](int index) {
    return shared.backend_states[static_cast<size_t>(index)] == home;
  });
  if (place == pool.backends.end()) return;
  const routing::BackendOptions& options = config().routing.backends[static_cast<size_t>(*place)];
  if (options.backup || home->weight().Settled(options.weight) == 0) return;
  if (!home->load().HasRoom(options.limits)) return;
  const auto begin = route->candidates.begin();
  auto end = begin + route->candidate_count;
  auto found = std::find(begin, end, *place);
  if (found == end) {
    if (end != route->candidates.end()) {
      ++route->candidate_count;
      ++end;
    }
    found = end - 1;
    *found = *place;
  }
  std::rotate(begin, found, found + 1);
}

// At the end of a session, before others may come in the user's name.
void Session::RememberHome() {
  if (!affine_ || stays_for_ == 0) return;
  const Snapshot& shared = *snapshot_->shared;
  shared.recent_homes->Remember(user_, shared.backend_states[static_cast<size_t>(backend_)],
                                io_->Now(), stays_for_);
}

}  // namespace postern
