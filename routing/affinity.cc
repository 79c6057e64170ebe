#include "routing/affinity.h"

#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::routing {

Affinity::Shard& Affinity::ShardOf(absl::string_view user) {
  return shards_[StableHash(user) % kShards];
}

Affinity::Backend Affinity::Join(absl::string_view user, const Backend& wanted) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  if (found != shard.users.end()) {
    ++found->second.joined;
    return found->second.backend;
  }
  if (wanted != nullptr) shard.users.emplace(std::string(user), Place{wanted, 1});
  return wanted;
}

bool Affinity::Move(absl::string_view user, const Backend& to) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  CHECK(found != shard.users.end());
  if (found->second.joined > 1) return false;
  found->second.backend = to;
  return true;
}

void Affinity::Leave(absl::string_view user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  CHECK(found != shard.users.end());
  if (--found->second.joined == 0) shard.users.erase(found);
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
