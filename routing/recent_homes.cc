#include "routing/recent_homes.h"

#include <algorithm>
#include <utility>

#include "routing/stable_hash.h"

namespace postern::routing {

RecentHomes::RecentHomes(size_t users_max) : users_max_(std::max<size_t>(users_max / kShards, 1)) {}

RecentHomes::Shard& RecentHomes::ShardOf(absl::string_view user) {
  return shards_[StableHash(user) % kShards];
}

const RecentHomes::Shard& RecentHomes::ShardOf(absl::string_view user) const {
  return shards_[StableHash(user) % kShards];
}

void RecentHomes::Erase(Shard* shard, absl::flat_hash_map<std::string, Home>::iterator user) {
  shard->users.erase(user);
  size_.fetch_sub(1, std::memory_order_relaxed);
}

void RecentHomes::Trim(Shard* shard, TimeNs now) {
  while (!shard->order.empty()) {
    const auto& [until, user] = shard->order.front();
    const auto found = shard->users.find(user);
    // Remembered again since, or forgotten.
    const bool stale = found == shard->users.end() || found->second.until != until;
    const bool over = until <= now;
    const bool too_many =
        shard->users.size() > users_max_ || shard->order.size() > 2 * users_max_ + 1;
    if (!stale && !over && !too_many) return;
    if (!stale) {
      if (!over) evicted_.fetch_add(1, std::memory_order_relaxed);
      Erase(shard, found);
    }
    shard->order.pop_front();
  }
}

void RecentHomes::Remember(absl::string_view user, const Backend& backend, TimeNs now,
                           DurationNs keep_for) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto [entry, added] = shard.users.try_emplace(std::string(user));
  entry->second = Home{backend, now + keep_for};
  if (added) size_.fetch_add(1, std::memory_order_relaxed);
  shard.order.emplace_back(now + keep_for, std::string(user));
  Trim(&shard, now);
}

RecentHomes::Backend RecentHomes::Find(absl::string_view user, TimeNs now) const {
  const Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  return found == shard.users.end() || found->second.until <= now ? nullptr : found->second.backend;
}

void RecentHomes::Forget(absl::string_view user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  if (found != shard.users.end()) Erase(&shard, found);
}

void RecentHomes::ForgetIf(const std::function<bool(absl::string_view user)>& is_meant) {
  for (Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    for (auto user = shard.users.begin(); user != shard.users.end();) {
      const auto next = std::next(user);
      if (is_meant(user->first)) Erase(&shard, user);
      user = next;
    }
  }
}

}  // namespace postern::routing
