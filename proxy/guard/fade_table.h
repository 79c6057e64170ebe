// What fades with time: failed logins, new connections, the last login of a user.
//
// An entry is a key and the moment at which nothing will be left of it. Events that fade one after
// the other, one per `interval`, move that moment on by one interval each, so the number of those
// that are left is the distance to it (the generic cell rate algorithm of ATM, a token bucket that
// counts backwards). Sixteen bytes for each key, whatever the rule.
//
// A table of a fixed size. A key has eight places; when all are taken, the one that would fade
// first makes room, which counts as an eviction when there was something left of it.
#ifndef POSTERN_PROXY_GUARD_FADE_TABLE_H_
#define POSTERN_PROXY_GUARD_FADE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "proxy/base/time.h"
#include "proxy/guard/zeroed_array.h"

namespace postern::guard {

// Thread-safe. The lock is one of up to 256, and held for one look into eight entries. Keys come
// from KeyedHash() and are never 0. The longest interval times the largest number is below 2^62 ns.
class FadeTable {
 public:
  // At least `entries` places, rounded up to a power of two.
  explicit FadeTable(size_t entries);

  // Whether the system had the memory; otherwise nothing may be asked of the table.
  bool ok() const { return entries_.ok(); }

  // Adds an event unless `limit` of them are left; returns whether it did.
  bool Charge(uint64_t key, DurationNs interval, int limit, TimeNs now);
  // Adds an event; never more than `most` are left.
  void Add(uint64_t key, DurationNs interval, int most, TimeNs now);
  // How many are left; a part of one counts as one.
  int Level(uint64_t key, DurationNs interval, TimeNs now) const;

  // Keeps the key until then.
  void KeepUntil(uint64_t key, TimeNs until, TimeNs now);
  // Keeps it until then unless it is kept already; returns whether it did.
  bool KeepUnlessKept(uint64_t key, TimeNs until, TimeNs now);
  bool kept(uint64_t key, TimeNs now) const { return Until(key) > now; }
  // The moment at which nothing is left; 0 when nothing is known of it.
  TimeNs Until(uint64_t key) const;

  void Forget(uint64_t key);

  // The key will be looked for at once: lets the CPU fetch its two cache lines meanwhile. No lock.
  void Prefetch(uint64_t key) const {
    static_assert(kWays * sizeof(Entry) == 128);
    const Entry* bucket = &entries_[BucketOf(key) * kWays];
    __builtin_prefetch(bucket, /*rw=*/1);
    __builtin_prefetch(bucket + kWays / 2, /*rw=*/1);
  }

  // Places that were ever taken; what has faded stays until somebody needs the place.
  size_t size() const;
  size_t capacity() const { return entries_.size(); }
  size_t bytes() const { return entries_.bytes(); }
  uint64_t evictions() const;

 private:
  struct Entry {
    uint64_t key;  // 0: empty
    TimeNs until;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    size_t used = 0;
    uint64_t evictions = 0;
  };
  static constexpr size_t kWays = 8;
  static constexpr size_t kShardsMax = 256;

  size_t BucketOf(uint64_t key) const { return key & (entries_.size() / kWays - 1); }
  Shard& ShardOf(size_t bucket) const { return shards_[bucket & (shard_count_ - 1)]; }
  // The entry of the key, or null. The caller holds the lock.
  Entry* Find(size_t bucket, uint64_t key);
  const Entry* Find(size_t bucket, uint64_t key) const;
  // The entry of the key, made if there is none.
  Entry* Take(Shard* shard, size_t bucket, uint64_t key, TimeNs now);

  ZeroedArray<Entry> entries_;
  size_t shard_count_;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace postern::guard

#endif  // POSTERN_PROXY_GUARD_FADE_TABLE_H_
