#include "proxy/outlier_watch.h"

#include <algorithm>
#include <utility>

namespace postern {

// Over all workers.
routing::LoginTally OutlierWatch::TallyOf(size_t backend) const {
  const size_t id = snapshot_->backend_stats[backend];
  routing::LoginTally tally;
  for (const metrics::WorkerStats* worker : stats_) {
    const metrics::BackendStats* stats = worker->FindBackend(id);
    if (stats == nullptr) continue;
    routing::LoginTally one;
    one.greetings = stats->greetings.Get();
    one.accepted = stats->accepted.Get();
    one.sys_refusals = stats->sys_refusals.Get();
    tally.Add(one);
  }
  return tally;
}

void OutlierWatch::LookAtPool(size_t pool, TimeNs now, Windows* kept) {
  const routing::PoolOptions& options = snapshot_->config.routing.pools[pool];
  const routing::OutlierRules& rules = options.eject.outliers;
  if (!rules.on()) return;
  std::vector<routing::LoginTally> recent;
  std::vector<Watched*> members;
  for (const int index : options.backends) {
    const auto backend = static_cast<size_t>(index);
    const routing::BackendState& state = *snapshot_->backend_states[backend];
    const auto key = std::make_pair(options.name, state.name());
    Watched& watched = (*kept)[key];
    if (const auto before = windows_.find(key); before != windows_.end()) {
      watched = std::move(before->second);
    }
    const routing::LoginTally total = TallyOf(backend);
    // Who is out is no measure for others, and begins anew when it is back.
    if (state.usable(now)) {
      watched.window.Note(total, now, rules.window);
    } else {
      watched.window.Forget(total, now);
    }
    recent.push_back(watched.window.Recent());
    members.push_back(&watched);
  }
  std::vector<bool> suspect(members.size());
  for (const routing::Outlier& outlier : routing::FindOutliers(rules, recent)) {
    Watched& watched = *members[outlier.member];
    suspect[outlier.member] = true;
    watched.suspect_since = std::min(watched.suspect_since, now);
    if (now - watched.suspect_since < rules.window / 10) continue;
    const auto backend = static_cast<size_t>(options.backends[outlier.member]);
    snapshot_->router->EjectOutlier(pool, backend, outlier.cause, outlier.reason,
                                    snapshot_->backend_states, now);
  }
  for (size_t i = 0; i < members.size(); ++i) {
    if (!suspect[i]) members[i]->suspect_since = kNever;
  }
}

void OutlierWatch::Look(TimeNs now) {
  if (snapshot_ == nullptr) return;
  Windows kept;
  for (size_t i = 0; i < snapshot_->config.routing.pools.size(); ++i) LookAtPool(i, now, &kept);
  windows_ = std::move(kept);
}

}  // namespace postern
