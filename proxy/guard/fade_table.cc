#include "proxy/guard/fade_table.h"

#include <algorithm>
#include <climits>

#include "proxy/base/check.h"

namespace postern::guard {
namespace {

size_t PowerOfTwoFrom(size_t at_least) {
  size_t power = 1;
  while (power < at_least) power *= 2;
  return power;
}

}  // namespace

FadeTable::FadeTable(size_t entries)
    : entries_(PowerOfTwoFrom(std::max(entries, kWays))),
      shard_count_(std::min(kShardsMax, entries_.size() / kWays)),
      shards_(new Shard[shard_count_]) {}

const FadeTable::Entry* FadeTable::Find(size_t bucket, uint64_t key) const {
  for (size_t i = bucket * kWays; i < (bucket + 1) * kWays; ++i) {
    if (entries_[i].key == key) return &entries_[i];
  }
  return nullptr;
}

FadeTable::Entry* FadeTable::Find(size_t bucket, uint64_t key) {
  return const_cast<Entry*>(static_cast<const FadeTable*>(this)->Find(bucket, key));
}

FadeTable::Entry* FadeTable::Take(Shard* shard, size_t bucket, uint64_t key, TimeNs now) {
  if (Entry* found = Find(bucket, key); found != nullptr) return found;
  // An empty place fades before all others.
  Entry* victim = &entries_[bucket * kWays];
  for (size_t i = 1; i < kWays; ++i) {
    Entry* other = &entries_[bucket * kWays + i];
    if (other->until < victim->until) victim = other;
  }
  if (victim->key == 0) ++shard->used;
  if (victim->until > now) ++shard->evictions;
  *victim = Entry{key, 0};
  return victim;
}

bool FadeTable::Charge(uint64_t key, DurationNs interval, int limit, TimeNs now) {
  CHECK(interval > 0);
  const size_t bucket = BucketOf(key);
  Shard& shard = ShardOf(bucket);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const Entry* found = Find(bucket, key);
  const TimeNs next = std::max(found == nullptr ? 0 : found->until, now) + interval;
  if (next - now > interval * limit) return false;
  Take(&shard, bucket, key, now)->until = next;
  return true;
}

void FadeTable::Add(uint64_t key, DurationNs interval, int most, TimeNs now) {
  CHECK(interval > 0);
  const size_t bucket = BucketOf(key);
  Shard& shard = ShardOf(bucket);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  Entry* entry = Take(&shard, bucket, key, now);
  entry->until = std::min(std::max(entry->until, now) + interval, now + interval * most);
}

int FadeTable::Level(uint64_t key, DurationNs interval, TimeNs now) const {
  CHECK(interval > 0);
  const DurationNs left = Until(key) - now;
  if (left <= 0) return 0;
  // A reload may have made the interval much shorter.
  return static_cast<int>(std::min<int64_t>((left + interval - 1) / interval, INT_MAX));
}

void FadeTable::KeepUntil(uint64_t key, TimeNs until, TimeNs now) {
  const size_t bucket = BucketOf(key);
  Shard& shard = ShardOf(bucket);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  Take(&shard, bucket, key, now)->until = until;
}

bool FadeTable::KeepUnlessKept(uint64_t key, TimeNs until, TimeNs now) {
  const size_t bucket = BucketOf(key);
  Shard& shard = ShardOf(bucket);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const Entry* found = Find(bucket, key);
  if (found != nullptr && found->until > now) return false;
  Take(&shard, bucket, key, now)->until = until;
  return true;
}

TimeNs FadeTable::Until(uint64_t key) const {
  const size_t bucket = BucketOf(key);
  const std::lock_guard<std::mutex> lock(ShardOf(bucket).mutex);
  const Entry* found = Find(bucket, key);
  return found == nullptr ? 0 : found->until;
}

void FadeTable::Forget(uint64_t key) {
  const size_t bucket = BucketOf(key);
  const std::lock_guard<std::mutex> lock(ShardOf(bucket).mutex);
  if (Entry* found = Find(bucket, key); found != nullptr) found->until = 0;
}

size_t FadeTable::size() const {
  size_t used = 0;
  for (size_t i = 0; i < shard_count_; ++i) {
    const std::lock_guard<std::mutex> lock(shards_[i].mutex);
    used += shards_[i].used;
  }
  return used;
}

uint64_t FadeTable::evictions() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < shard_count_; ++i) {
    const std::lock_guard<std::mutex> lock(shards_[i].mutex);
    sum += shards_[i].evictions;
  }
  return sum;
}

}  // namespace postern::guard
