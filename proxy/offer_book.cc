#include "proxy/offer_book.h"

#include <algorithm>
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

bool CarriesAny(const config::Config& config) {
  return std::any_of(config.dialogue.mechanisms.begin(), config.dialogue.mechanisms.end(),
                     [](pop3::Mechanism mechanism) { return pop3::InfoOf(mechanism).carried; });
}

}  // namespace

OfferBook::OfferBook(const config::Config* config, routing::BackendStateList states)
    : config_(config), states_(std::move(states)), reachable_(config::ReachableBackends(*config)) {
  learns_ = CarriesAny(*config_);
  for (size_t i = 0; i < config_->listeners.size(); ++i) {
    learns_ = learns_ || FixedList(*config_, i) == nullptr;
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
  std::vector<const pop3::CapabilityLines*> servers;
  for (const size_t backend : reachable_) {
    servers.push_back(heard[backend] != nullptr ? heard[backend].get()
                                                : &config_->dialogue.capabilities);
  }
  pop3::Offer common;
  common.capabilities = pop3::CommonCapabilities(servers);
  for (const pop3::Mechanism mechanism : config_->dialogue.mechanisms) {
    if (!pop3::InfoOf(mechanism).carried) continue;
    const bool everywhere = std::all_of(reachable_.begin(), reachable_.end(), [&](size_t backend) {
      return heard[backend] == nullptr ||
             pop3::OffersMechanism(*heard[backend], pop3::InfoOf(mechanism).name);
    });
    if (!everywhere) common.withheld.push_back(mechanism);
  }
  offers_.clear();
  for (size_t i = 0; i < config_->listeners.size(); ++i) {
    pop3::Offer offer = common;
    if (const pop3::CapabilityLines* fixed = FixedList(*config_, i)) offer.capabilities = *fixed;
    // Ours, whatever backends say, and whoever wrote the list.
    pop3::AddLoginDelay(config_->listeners[i].login_delay, &offer.capabilities);
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

}  // namespace postern
