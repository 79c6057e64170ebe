// Users that an operator has moved: they go to the backend named here, whatever the routes say.
//
// Made for millions of entries beside logins on every core: a user costs the name, four bytes and a
// slot of four to ten bytes in a hash table; one of many locks is held for one look. While nobody
// is moved, a look is one load of an atomic.
#ifndef POSTERN_ROUTING_OVERRIDES_H_
#define POSTERN_ROUTING_OVERRIDES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "routing/group_overrides.h"

namespace postern::routing {

class BackendState;

// Thread-safe. Users are normalised.
class Overrides {
 public:
  using Backend = std::shared_ptr<BackendState>;

  Overrides();
  Overrides(const Overrides&) = delete;
  Overrides& operator=(const Overrides&) = delete;
  ~Overrides();

  // Where a login goes: the user's own entry, or else the one of the groups that have the user.
  // Null when the routes decide.
  Backend Where(absl::string_view user) const {
    Backend own = Find(user);
    return own != nullptr ? own : groups_.Find(user);
  }
  // Domains and ranges of hashes; see there.
  GroupOverrides& groups() { return groups_; }
  const GroupOverrides& groups() const { return groups_; }

  // The user's own entry; null when there is none.
  Backend Find(absl::string_view user) const {
    if (count_.load(std::memory_order_acquire) == 0) return nullptr;
    return Look(user);
  }
  // ResourceExhausted after 65536 different backends, or 4 GB of names in one of 64 parts.
  absl::Status Set(absl::string_view user, const Backend& backend);
  // False when there was none.
  bool Remove(absl::string_view user);

  size_t size() const { return count_.load(std::memory_order_relaxed); }
  // Until it returns false. Part by part, each under its lock, so `visit` must be short.
  void ForEach(const std::function<bool(absl::string_view, const Backend&)>& visit) const;
  // About what the entries occupy.
  size_t memory_bytes() const;

 private:
  static constexpr size_t kShards = 64;
  struct Shard;

  Backend Look(absl::string_view user) const;
  Shard& ShardOf(absl::string_view user) const;
  // The number under which entries name it; -1 when there is no room.
  int NumberOf(const Backend& backend);
  Backend BackendOf(uint16_t number) const;

  GroupOverrides groups_;
  std::atomic<size_t> count_{0};
  std::unique_ptr<std::array<Shard, kShards>> shards_;
  mutable std::mutex backends_mutex_;
  std::vector<Backend> backends_;  // by number; only ever grows
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_OVERRIDES_H_
