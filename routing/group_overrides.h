// Whole domains, and parts of all users by hash, that an operator has moved. A user who was moved
// by name is asked for first, see Overrides.
#ifndef POSTERN_ROUTING_GROUP_OVERRIDES_H_
#define POSTERN_ROUTING_GROUP_OVERRIDES_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "routing/holds.h"

namespace postern::routing {

class BackendState;

// Many users in few words.
struct UserGroup {
  Hold::Kind kind = Hold::Kind::kDomain;  // not kUser
  std::string target;                     // as in Hold

  // Whether `user`, normalised, belongs to it.
  bool Has(absl::string_view user) const;
  // Whether moving one of them may say something else of a user of the other. A domain and a range
  // don't: the domain always counts.
  bool Meets(const UserGroup& other) const;
  // For people: "@example.org", "hash 00-7f".
  std::string Text() const;
  bool operator==(const UserGroup& other) const {
    return kind == other.kind && target == other.target;
  }
};

// Thread-safe. Users are normalised.
class GroupOverrides {
 public:
  using Backend = std::shared_ptr<BackendState>;
  struct Entry {
    UserGroup group;
    Backend backend;
  };
  // Ranges of hashes are looked at one by one.
  static constexpr size_t kGroupsMax = 1000;

  GroupOverrides() = default;
  GroupOverrides(const GroupOverrides&) = delete;
  GroupOverrides& operator=(const GroupOverrides&) = delete;

  // Where the user's domain was moved, or else, of the ranges that hold the user's hash, the one
  // that was moved last. Null when there is none; while nothing is moved that is one load.
  Backend Find(absl::string_view user) const {
    if (count_.load(std::memory_order_acquire) == 0) return nullptr;
    return Look(user);
  }
  // Of exactly this group.
  Backend Get(const UserGroup& group) const;
  // Whether the user's domain was moved: then no range counts.
  bool HasDomainOf(absl::string_view user) const;
  // InvalidArgument for a range that is none, ResourceExhausted at the limit.
  absl::Status Set(const UserGroup& group, const Backend& backend);
  // False when there was none.
  bool Remove(const UserGroup& group);
  size_t size() const { return count_.load(std::memory_order_relaxed); }
  // Domains by name, then ranges, the one that was moved last at the end.
  std::vector<Entry> List() const;
  // Nothing but these, as List() gave them.
  void Restore(const std::vector<Entry>& entries);

 private:
  struct Range {
    HashRange hashes;
    std::string target;
    Backend backend;
  };

  Backend Look(absl::string_view user) const;
  bool RemoveLocked(const UserGroup& group);
  void Recount() { count_.store(domains_.size() + ranges_.size(), std::memory_order_release); }

  std::atomic<size_t> count_{0};
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, Backend> domains_;
  std::vector<Range> ranges_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_GROUP_OVERRIDES_H_
