#include "routing/lookup/answer_cache.h"

#include <iterator>
#include <utility>

namespace postern::routing {
namespace {

constexpr size_t kShards = 16;
// A small cache in many parts would fill some of them long before the others.
constexpr size_t kEntriesPerShardMin = 64;

size_t ShardCount(size_t entries) {
  return entries >= kShards * kEntriesPerShardMin ? kShards : size_t{1};
}

bool IsNegative(const LookupAnswer& answer) { return answer.kind != LookupAnswer::Kind::kFound; }

}  // namespace

AnswerCache::AnswerCache(size_t entries) {
  const size_t shards = ShardCount(entries);
  for (size_t i = 0; i < shards; ++i) shards_.push_back(std::make_unique<Shard>());
  const size_t room = entries / shards;
  room_[1] = room / 4;
  room_[0] = room - room_[1];
}

AnswerCache::Shard& AnswerCache::ShardOf(const LookupKey& key) {
  // A keyed digest: any byte is as random as the others.
  return *shards_[static_cast<unsigned char>(key.bytes[0]) % shards_.size()];
}

void AnswerCache::Erase(Shard* shard, Entries::iterator entry) {
  shard->index.erase(entry->key);
  shard->lists[entry->negative ? 1 : 0].erase(entry);
}

AnswerCache::Hit AnswerCache::Find(const LookupKey& key, TimeNs now, DurationNs stale) {
  Shard& shard = ShardOf(key);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.index.find(key);
  if (found == shard.index.end()) return {};
  const Entries::iterator entry = found->second;
  if (now >= entry->end + stale) {
    Erase(&shard, entry);
    return {};
  }
  Entries& list = shard.lists[entry->negative ? 1 : 0];
  list.splice(list.begin(), list, entry);
  return {entry->answer, entry->stored_at, now < entry->end};
}

size_t AnswerCache::Put(const LookupKey& key, AnswerPtr answer, TimeNs now, TimeNs end) {
  const bool negative = IsNegative(*answer);
  const size_t room = room_[negative ? 1 : 0];
  Shard& shard = ShardOf(key);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  if (const auto found = shard.index.find(key); found != shard.index.end()) {
    Erase(&shard, found->second);
  }
  if (room == 0) return 0;
  size_t evictions = 0;
  Entries& list = shard.lists[negative ? 1 : 0];
  while (list.size() >= room) {
    Erase(&shard, std::prev(list.end()));
    ++evictions;
  }
  list.push_front({key, std::move(answer), now, end, negative});
  shard.index.emplace(key, list.begin());
  return evictions;
}

void AnswerCache::Erase(const LookupKey& key) {
  Shard& shard = ShardOf(key);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  if (const auto found = shard.index.find(key); found != shard.index.end()) {
    Erase(&shard, found->second);
  }
}

void AnswerCache::Sweep(TimeNs now, DurationNs stale) {
  // Enough for each call, so that the lock is not held for long.
  constexpr int kEntriesMax = 256;
  const size_t number = next_sweep_.fetch_add(1, std::memory_order_relaxed);
  Shard& shard = *shards_[number % shards_.size()];
  const std::lock_guard<std::mutex> lock(shard.mutex);
  for (Entries& list : shard.lists) {
    for (int i = 0; i < kEntriesMax && !list.empty() && now >= list.back().end + stale; ++i) {
      Erase(&shard, std::prev(list.end()));
    }
  }
}

size_t AnswerCache::size() const {
  size_t size = 0;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard->mutex);
    size += shard->index.size();
  }
  return size;
}

}  // namespace postern::routing
