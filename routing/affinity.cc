#include "routing/affinity.h"

#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::routing {

Affinity::Shard& Affinity::ShardOf(absl::string_view user) {
  return shards_[StableHash(user) % kShards];
}

const Affinity::Shard& Affinity::ShardOf(absl::string_view user) const {
  return shards_[StableHash(user) % kShards];
}

Affinity::Backend Affinity::Join(absl::string_view user, const Backend& wanted) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  if (found != shard.users.end()) {
    Place& place = found->second;
    if (place.joined == 0) {
      // Others have entered only.
      if (wanted == nullptr) return nullptr;
      place.backend = wanted;
    }
    ++place.joined;
    return place.backend;
  }
  if (wanted != nullptr) shard.users.emplace(std::string(user), Place{wanted, 1, 0});
  return wanted;
}

bool Affinity::Move(absl::string_view user, const Backend& to) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  CHECK(found != shard.users.end() && found->second.joined > 0);
  if (found->second.joined + found->second.entered > 1) return false;
  found->second.backend = to;
  return true;
}

void Affinity::Leave(absl::string_view user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  CHECK(found != shard.users.end() && found->second.joined > 0);
  Place& place = found->second;
  if (--place.joined > 0) return;
  place.backend = nullptr;
  if (place.entered == 0) shard.users.erase(found);
}

void Affinity::Enter(absl::string_view user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  if (found != shard.users.end()) {
    ++found->second.entered;
  } else {
    shard.users.emplace(std::string(user), Place{nullptr, 0, 1});
  }
}

void Affinity::Exit(absl::string_view user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  CHECK(found != shard.users.end() && found->second.entered > 0);
  Place& place = found->second;
  if (--place.entered == 0 && place.joined == 0) shard.users.erase(found);
}

Affinity::Whereabouts Affinity::Look(absl::string_view user) const {
  Whereabouts at;
  const Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  if (found == shard.users.end()) return at;
  at.live = found->second.joined + found->second.entered;
  at.entered = found->second.entered;
  at.backend = found->second.backend;
  return at;
}

void Affinity::ForEach(
    const std::function<void(absl::string_view user, const Whereabouts& at)>& visit) const {
  for (const Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    for (const auto& [user, place] : shard.users) {
      Whereabouts at;
      at.live = place.joined + place.entered;
      at.entered = place.entered;
      at.backend = place.backend;
      visit(user, at);
    }
  }
}

size_t Affinity::size() const {
  size_t users = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    users += shard.users.size();
  }
  return users;
}

}  // namespace postern::routing
