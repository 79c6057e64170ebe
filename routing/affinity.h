// Where the users of pools are who have a session or a login in progress right now: one user, one
// backend.
//
// POP3 servers lock a maildrop, and caches of shared storage disagree, so a user with a live
// session never goes to a second backend, whatever the hash, weights, health, an operator or a
// reload say. Everybody joins before the first byte goes to a backend and leaves when the
// connection to it is closed, so this holds exactly, and there are never more entries than
// sessions.
#ifndef POSTERN_ROUTING_AFFINITY_H_
#define POSTERN_ROUTING_AFFINITY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace postern::routing {

class BackendState;

// Thread-safe. The lock is one of many, and held for one look into a table.
class Affinity {
 public:
  using Backend = std::shared_ptr<BackendState>;

  // Joins `user` to the backend where the user already is, or else to `wanted`. Returns it; null,
  // and nothing is joined, when the user is nowhere and `wanted` is null.
  Backend Join(absl::string_view user, const Backend& wanted);
  // Takes a user who has joined once to another backend. False, and nothing changes, when somebody
  // else is there as this user.
  bool Move(absl::string_view user, const Backend& to);
  // Once for each Join() that returned a backend.
  void Leave(absl::string_view user);

  // Counts a login that goes where a route's own backend is, without a say for this table: nobody
  // else is bound by it, but Look() knows of it.
  void Enter(absl::string_view user);
  void Exit(absl::string_view user);

  // All who are there, and where those are who have joined; null: nowhere in particular.
  struct Whereabouts {
    uint32_t live = 0;  // joined or entered
    uint32_t entered = 0;
    Backend backend;
  };
  Whereabouts Look(absl::string_view user) const;

  // Everybody who is somewhere, part by part, each under its lock: `visit` must be short and ask
  // nothing here.
  void ForEach(
      const std::function<void(absl::string_view user, const Whereabouts& at)>& visit) const;

  // Users who are somewhere.
  size_t size() const;

 private:
  struct Place {
    Backend backend;
    uint32_t joined = 0;
    uint32_t entered = 0;
  };
  struct Shard {
    mutable std::mutex mutex;
    absl::flat_hash_map<std::string, Place> users;
  };
  static constexpr size_t kShards = 64;

  Shard& ShardOf(absl::string_view user);
  const Shard& ShardOf(absl::string_view user) const;

  std::array<Shard, kShards> shards_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_AFFINITY_H_
