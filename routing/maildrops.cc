#include "routing/maildrops.h"

#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::routing {

Maildrops::Shard& Maildrops::ShardOf(absl::string_view user) {
  return shards_[StableHash(user) % kShards];
}

const Maildrops::Shard& Maildrops::ShardOf(absl::string_view user) const {
  return shards_[StableHash(user) % kShards];
}

// Under the shard's lock.
Maildrops::Drop& Maildrops::DropOf(Shard& shard, absl::string_view user) {
  const auto found = shard.users.find(user);
  if (found != shard.users.end()) return *found->second;
  return *shard.users.emplace(std::string(user), std::make_unique<Drop>()).first->second;
}

void Maildrops::Hold(absl::string_view user, Place* place, TimeNs now) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  CHECK(!place->linked());
  Drop& drop = DropOf(shard, user);
  place->since_ = now;
  place->holds_ = true;
  drop.holders.PushBack(place);
  ++drop.holder_count;
}

void Maildrops::Wait(absl::string_view user, Place* place) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  CHECK(!place->linked());
  place->holds_ = false;
  DropOf(shard, user).waiters.PushBack(place);
}

void Maildrops::Leave(absl::string_view user, Place* place) {
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  CHECK(found != shard.users.end() && place->linked());
  Drop& drop = *found->second;
  place->Unlink();
  if (place->holds_) {
    --drop.holder_count;
    // All of them: whom the server lets in is the server's choice, and who goes on waiting has not
    // lost anything.
    for (Place* waiter = drop.waiters.front(); waiter != nullptr;
         waiter = drop.waiters.Next(waiter)) {
      waiter->call_(waiter->owner_, 0);
    }
  }
  if (drop.holders.empty() && drop.waiters.empty()) shard.users.erase(found);
}

size_t Maildrops::Holders(absl::string_view user) const {
  const Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  return found == shard.users.end() ? 0 : found->second->holder_count;
}

size_t Maildrops::AskToGiveWay(absl::string_view user, TimeNs before, DurationNs idle) {
  CHECK(idle > 0);
  Shard& shard = ShardOf(user);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.users.find(user);
  if (found == shard.users.end()) return 0;
  size_t called = 0;
  IntrusiveList<Place>& holders = found->second->holders;
  for (Place* holder = holders.front(); holder != nullptr; holder = holders.Next(holder)) {
    if (holder->since_ >= before) continue;
    holder->call_(holder->owner_, idle);
    ++called;
  }
  return called;
}

size_t Maildrops::size() const {
  size_t users = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    users += shard.users.size();
  }
  return users;
}

}  // namespace postern::routing
