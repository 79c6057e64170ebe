// Where users were of late, for pools that send them there again for a while (`affinity_for`): a
// backend that has just served a maildrop has it in its caches.
//
// A wish, no promise: whoever is not remembered, or cannot be sent there, goes where the pool says.
#ifndef POSTERN_ROUTING_RECENT_HOMES_H_
#define POSTERN_ROUTING_RECENT_HOMES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"

namespace postern::routing {

class BackendState;

// Thread-safe. The lock is one of many, and held for one look into a table. Users are normalised.
class RecentHomes {
 public:
  using Backend = std::shared_ptr<BackendState>;
  // Some 200 bytes each. Whoever has been remembered longest makes room.
  static constexpr size_t kUsersMax = size_t{1} << 20;

  explicit RecentHomes(size_t users_max = kUsersMax);
  RecentHomes(const RecentHomes&) = delete;
  RecentHomes& operator=(const RecentHomes&) = delete;

  void Remember(absl::string_view user, const Backend& backend, TimeNs now, DurationNs keep_for);
  // Null when there is none, or none any more.
  Backend Find(absl::string_view user, TimeNs now) const;
  void Forget(absl::string_view user);
  // All of whom it is true; `is_meant` must be short and ask nothing here.
  void ForgetIf(const std::function<bool(absl::string_view user)>& is_meant);

  // Users that are remembered, some of them perhaps a little longer than they need be.
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  // Users forgotten before their time, for want of room.
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }

 private:
  struct Home {
    Backend backend;
    TimeNs until = 0;
  };
  struct Shard {
    mutable std::mutex mutex;
    absl::flat_hash_map<std::string, Home> users;
    // In the order in which they were remembered; one that was remembered again is in it twice.
    std::deque<std::pair<TimeNs, std::string>> order;
  };
  static constexpr size_t kShards = 64;

  Shard& ShardOf(absl::string_view user);
  const Shard& ShardOf(absl::string_view user) const;
  // Lets go of whose time is over, and of the oldest of too many.
  void Trim(Shard* shard, TimeNs now);
  void Erase(Shard* shard, absl::flat_hash_map<std::string, Home>::iterator user);

  const size_t users_max_;  // of a shard
  std::array<Shard, kShards> shards_;
  std::atomic<size_t> size_{0};
  std::atomic<uint64_t> evicted_{0};
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_RECENT_HOMES_H_
