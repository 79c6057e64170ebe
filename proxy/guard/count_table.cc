#include "proxy/guard/count_table.h"

#include <algorithm>

#include "proxy/base/check.h"

namespace postern::guard {
namespace {

size_t PowerOfTwoFrom(size_t at_least) {
  size_t power = 1;
  while (power < at_least) power *= 2;
  return power;
}

// Keys are spread by chance: a shard gets its share, a little more, and never fewer than these.
constexpr size_t kShardSlotsMin = 256;

}  // namespace

CountTable::CountTable(size_t keys)
    : shard_slots_(PowerOfTwoFrom(std::max(kShardSlotsMin, 2 * (keys + keys / 8) / kShards))),
      slots_(kShards * shard_slots_) {}

size_t CountTable::Find(size_t shard, uint64_t key) const {
  size_t place = Home(key);
  for (;;) {
    const Slot& slot = slots_[shard * shard_slots_ + place];
    if (slot.key == key || slot.key == 0) return place;
    place = (place + 1) & (shard_slots_ - 1);
  }
}

CountTable::Added CountTable::Add(uint64_t key, uint32_t limit, uint32_t* count) {
  const size_t shard = ShardOf(key);
  const std::lock_guard<std::mutex> lock(shards_[shard].mutex);
  Slot& slot = At(shard, Find(shard, key));
  if (slot.count >= limit) return Added::kLimit;
  if (slot.key == 0) {
    if (shards_[shard].used == shard_slots_ / 2) return Added::kFull;
    ++shards_[shard].used;
    slot.key = key;
  }
  ++slot.count;
  if (count != nullptr) *count = slot.count;
  return Added::kYes;
}

void CountTable::Remove(uint64_t key) {
  const size_t shard = ShardOf(key);
  const std::lock_guard<std::mutex> lock(shards_[shard].mutex);
  size_t hole = Find(shard, key);
  Slot& slot = At(shard, hole);
  CHECK(slot.key == key && slot.count > 0);
  if (--slot.count > 0) return;
  --shards_[shard].used;
  // Whoever stands behind the hole, and not at home between hole and place, moves into it: a search
  // never meets a hole on its way.
  const size_t mask = shard_slots_ - 1;
  for (size_t place = (hole + 1) & mask; At(shard, place).key != 0; place = (place + 1) & mask) {
    const size_t from_home = (place - Home(At(shard, place).key)) & mask;
    if (from_home < ((place - hole) & mask)) continue;
    At(shard, hole) = At(shard, place);
    hole = place;
  }
  At(shard, hole) = Slot{0, 0};
}

uint32_t CountTable::Count(uint64_t key) const {
  const size_t shard = ShardOf(key);
  const std::lock_guard<std::mutex> lock(shards_[shard].mutex);
  return slots_[shard * shard_slots_ + Find(shard, key)].count;
}

size_t CountTable::size() const {
  size_t used = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    used += shard.used;
  }
  return used;
}

}  // namespace postern::guard
