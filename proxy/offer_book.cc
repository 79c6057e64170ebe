#include "proxy/offer_book.h"

#include <algorithm>
#include <map>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/config/reachable.h"

namespace postern {
namespace {

using HeardLines = std::shared_ptr<const pop3::CapabilityLines>;

// What the configuration says whatever backends say; null where they decide.
const pop3::CapabilityLines* FixedList(const config::Config& config, size_t listener) {
  const config::Listener& at = config.listeners[listener];
  if (at.capabilities.has_value()) return &*at.capabilities;
  return config.capabilities_written ? &config.dialogue.capabilities : nullptr;
}

bool Contains(const std::vector<pop3::Mechanism>& list, pop3::Mechanism mechanism) {
  return std::find(list.begin(), list.end(), mechanism) != list.end();
}

}  // namespace

OfferBook::OfferBook(const config::Config* config, routing::BackendStateList states)
    : config_(config), states_(std::move(states)) {
  std::map<std::vector<size_t>, size_t> known;
  for (size_t i = 0; i < config_->listeners.size(); ++i) {
    const config::Listener& listener = config_->listeners[i];
    learns_ = learns_ || FixedList(*config_, i) == nullptr;
    for (const pop3::Mechanism mechanism : config::MechanismsOf(*config_, listener)) {
      if (!pop3::InfoOf(mechanism).carried) continue;
      learns_ = true;
      if (!Contains(carried_, mechanism)) carried_.push_back(mechanism);
    }
    std::vector<size_t> reachable = config::ReachableBackends(*config_, listener);
    const auto [place, is_new] = known.emplace(reachable, groups_.size());
    if (is_new) groups_.push_back({std::move(reachable), {}});
    group_of_.push_back(place->second);
  }
  Reconcile();
}

void OfferBook::Learn(size_t backend, pop3::CapabilityLines lines) {
  CHECK(backend < states_.size());
  if (states_[backend]->SetCapabilities(std::move(lines))) Reconcile();
}

std::shared_ptr<const pop3::Offer> OfferBook::Get(size_t listener) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  CHECK(listener < offers_.size());
  return offers_[listener];
}

std::string OfferBook::Differences(size_t pool) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  CHECK(pool < differences_.size());
  return differences_[pool];
}

void OfferBook::Reconcile() {
  // Whoever comes second has seen what the first one has: the lock is held from the first look on.
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<HeardLines> heard;
  for (const std::shared_ptr<routing::BackendState>& state : states_) {
    heard.push_back(state->capabilities());
  }
  for (Group& group : groups_) FindCommon(heard, &group);
  offers_.clear();
  for (size_t i = 0; i < config_->listeners.size(); ++i) {
    const config::Listener& listener = config_->listeners[i];
    const pop3::Offer& common = groups_[group_of_[i]].common;
    const pop3::CapabilityLines* fixed = FixedList(*config_, i);
    pop3::Offer offer;
    offer.capabilities = fixed != nullptr ? *fixed : common.capabilities;
    // Ours, whatever backends say, and whoever wrote the list.
    pop3::AddLoginDelay(listener.login_delay, &offer.capabilities);
    for (const pop3::Mechanism mechanism : config::MechanismsOf(*config_, listener)) {
      if (Contains(common.withheld, mechanism)) offer.withheld.push_back(mechanism);
    }
    offers_.push_back(std::make_shared<const pop3::Offer>(std::move(offer)));
  }
  differences_.clear();
  for (const routing::PoolOptions& pool : config_->routing.pools) {
    std::vector<std::string> names;
    std::vector<const pop3::CapabilityLines*> members;
    for (const int backend : pool.backends) {
      const auto index = static_cast<size_t>(backend);
      if (heard[index] == nullptr) continue;
      names.push_back(config_->backends[index].name);
      members.push_back(heard[index].get());
    }
    differences_.push_back(pop3::DescribeDifferences(names, members));
  }
}

void OfferBook::FindCommon(const std::vector<HeardLines>& heard, Group* group) const {
  std::vector<const pop3::CapabilityLines*> servers;
  for (const size_t backend : group->reachable) {
    servers.push_back(heard[backend] != nullptr ? heard[backend].get()
                                                : &config_->dialogue.capabilities);
  }
  group->common.capabilities = pop3::CommonCapabilities(servers);
  group->common.withheld.clear();
  for (const pop3::Mechanism mechanism : carried_) {
    const absl::string_view name = pop3::InfoOf(mechanism).name;
    const bool everywhere =
        std::all_of(group->reachable.begin(), group->reachable.end(), [&](size_t backend) {
          return heard[backend] == nullptr || pop3::OffersMechanism(*heard[backend], name);
        });
    if (!everywhere) group->common.withheld.push_back(mechanism);
  }
}

}  // namespace postern
