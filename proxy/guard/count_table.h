// How many there are of each, exactly: sessions of a user, an address, a network.
//
// A table of a fixed size. Entries live as long as what they count, so it is made for as many as
// there can be and nothing is ever evicted.
#ifndef POSTERN_PROXY_GUARD_COUNT_TABLE_H_
#define POSTERN_PROXY_GUARD_COUNT_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "proxy/guard/zeroed_array.h"

namespace postern::guard {

// Thread-safe. The lock is one of 64, and held for one look into a table. Keys come from
// KeyedHash() and are never 0.
class CountTable {
 public:
  enum class Added {
    kYes,
    kLimit,  // there were `limit` already
    kFull,   // no room; not counted
  };

  // Room for at least `keys` at a time, at 32 to 64 bytes each.
  explicit CountTable(size_t keys);

  // Whether the system had the memory; otherwise nothing may be asked of the table.
  bool ok() const { return slots_.ok(); }

  // One more of `key`, unless there are `limit` of them. With kYes, *count says how many there are
  // then.
  Added Add(uint64_t key, uint32_t limit, uint32_t* count = nullptr);
  // One less; for each Add() that said kYes.
  void Remove(uint64_t key);
  uint32_t Count(uint64_t key) const;

  // The key will be looked for at once: lets the CPU fetch its cache line meanwhile. No lock.
  void Prefetch(uint64_t key) const {
    __builtin_prefetch(&slots_[ShardOf(key) * shard_slots_ + Home(key)], /*rw=*/1);
  }

  // Keys that have a count.
  size_t size() const;
  size_t capacity() const { return kShards * shard_slots_ / 2; }
  size_t bytes() const { return kShards * shard_slots_ * sizeof(Slot); }

 private:
  struct Slot {
    uint64_t key;  // 0: empty
    uint32_t count;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    size_t used = 0;
  };
  static constexpr size_t kShards = 64;

  // Neither looks at the highest bit: see AttemptsKey() in guard.cc.
  static size_t ShardOf(uint64_t key) { return key % kShards; }
  size_t Home(uint64_t key) const { return (key / kShards) & (shard_slots_ - 1); }
  Slot& At(size_t shard, size_t place) { return slots_[shard * shard_slots_ + place]; }
  // Where the key stands, or the empty slot where it would.
  size_t Find(size_t shard, uint64_t key) const;

  const size_t shard_slots_;  // a power of two; at most half of them are used
  ZeroedArray<Slot> slots_;
  std::array<Shard, kShards> shards_;
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_COUNT_TABLE_H_
