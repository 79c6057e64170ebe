#include "absl/strings/str_cat.h"
#include "tests/sim/farm.h"

namespace postern::sim {
namespace {

// As the health thread does.
constexpr DurationNs kLookEvery = kSecond / 2;

}  // namespace

std::shared_ptr<routing::BackendState> Farm::state(size_t backend) {
  return states_.Get(absl::StrCat("mail", backend + 1));
}

ServerScript Farm::DrawScript(size_t backend) {
  const BackendSpec& spec = spec_.backends[backend];
  const DurationNs since = io_.scheduler().now() - begin_;
  for (const BadSpell& spell : spec.bad_spells) {
    if (since >= spell.from && since < spell.until) return spell.script;
  }
  return spec.scripts[io_.random().Below(spec.scripts.size())];
}

void Farm::StartWatch(const std::shared_ptr<const Snapshot>& snapshot) {
  watch_.ReadFrom({&stats_});
  watch_.Configure(snapshot);
  LookForOutliers();
}

void Farm::LookForOutliers() {
  const TimeNs now = io_.scheduler().now();
  watch_.Look(now);
  if (now - begin_ < spec_.watched_for) {
    io_.scheduler().After(kLookEvery, [this] { LookForOutliers(); });
  }
}

}  // namespace postern::sim
