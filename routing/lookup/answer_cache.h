// Answers of a lookup that are remembered for a while.
#ifndef POSTERN_ROUTING_LOOKUP_ANSWER_CACHE_H_
#define POSTERN_ROUTING_LOOKUP_ANSWER_CACHE_H_

#include <atomic>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/base/time.h"
#include "routing/lookup/lookup_options.h"
#include "routing/lookup/source.h"

namespace postern::routing {

using AnswerPtr = std::shared_ptr<const LookupAnswer>;

// At most so many entries; the one that was not used for the longest time goes first. A quarter of
// the room is for refusals and unknown users and the rest for the others, so that guessing
// passwords drives nobody out. Thread-safe; a lock is held for one look into one of several tables.
class AnswerCache {
 public:
  explicit AnswerCache(size_t entries);
  AnswerCache(const AnswerCache&) = delete;
  AnswerCache& operator=(const AnswerCache&) = delete;

  struct Hit {
    AnswerPtr answer;  // null: not here
    TimeNs stored_at = 0;
    bool fresh = false;  // now is before its end; otherwise before the end of `stale` after it
  };
  // Entries whose end and `stale` have passed are gone.
  Hit Find(const LookupKey& key, TimeNs now, DurationNs stale);
  // Remembers it until `end`, in place of what was there. How many others had to make room before
  // their time.
  size_t Put(const LookupKey& key, AnswerPtr answer, TimeNs now, TimeNs end);
  // Forgets what is remembered for `key`, if anything.
  void Erase(const LookupKey& key);
  // Drops entries that nobody uses any more although nothing drives them out: they may hold
  // secrets. Looks at one table per call.
  void Sweep(TimeNs now, DurationNs stale);

  size_t size() const;

 private:
  struct Entry {
    LookupKey key;
    AnswerPtr answer;
    TimeNs stored_at;
    TimeNs end;
    bool negative;
  };
  using Entries = std::list<Entry>;  // the most recently used first
  struct Shard {
    mutable std::mutex mutex;
    Entries lists[2];  // [negative]
    absl::flat_hash_map<LookupKey, Entries::iterator> index;
  };
  static void Erase(Shard* shard, Entries::iterator entry);
  Shard& ShardOf(const LookupKey& key);

  std::vector<std::unique_ptr<Shard>> shards_;
  size_t room_[2];  // of one shard
  std::atomic<size_t> next_sweep_{0};
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_LOOKUP_ANSWER_CACHE_H_
