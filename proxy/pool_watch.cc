#include "proxy/pool_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace postern {

std::vector<std::string> PoolWatch::Look(TimeNs now) {
  std::vector<std::string> sentences;
  if (snapshot_ == nullptr) return sentences;
  std::map<std::string, Mood> moods;
  for (size_t i = 0; i < snapshot_->config.routing.pools.size(); ++i) {
    const std::string& name = snapshot_->config.routing.pools[i].name;
    const routing::PoolStanding standing =
        snapshot_->router->Standing(i, snapshot_->backend_states, now);
    const Mood mood = standing.usable > 0 ? Mood::kWell
                      : standing.panic    ? Mood::kPanic
                                          : Mood::kEmpty;
    moods[name] = mood;
    if (snapshot_->offers != nullptr) LookAtCapabilities(i, &sentences);
    const auto before = moods_.find(name);
    if (mood == (before == moods_.end() ? Mood::kWell : before->second)) continue;
    const std::string subject = absl::StrCat("pool ", name, ": ");
    switch (mood) {
      case Mood::kWell:
        sentences.push_back(absl::StrCat(subject, standing.usable, " of ", standing.backends,
                                         " backends can be used again"));
        break;
      case Mood::kPanic:
        sentences.push_back(absl::StrCat(subject, "panic: none of its ", standing.backends,
                                         " backends is well; those that may answer are used "
                                         "nevertheless"));
        break;
      case Mood::kEmpty:
        sentences.push_back(absl::StrCat(subject, "none of its ", standing.backends,
                                         " backends can be used; its users are told [SYS/TEMP]"));
        break;
    }
  }
  moods_ = std::move(moods);
  return sentences;
}

void PoolWatch::LookAtCapabilities(size_t pool, std::vector<std::string>* sentences) {
  const std::string& name = snapshot_->config.routing.pools[pool].name;
  std::string now = snapshot_->offers->Differences(pool);
  std::string& told = differences_[name];
  if (now == told) return;
  sentences->push_back(
      now.empty() ? absl::StrCat("pool ", name, ": its backends have the same capabilities again")
                  : absl::StrCat("pool ", name, ": its backends differ in what CAPA says: ", now,
                                 "; clients are promised what all have"));
  told = std::move(now);
}

}  // namespace postern
