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

}  // namespace postern
