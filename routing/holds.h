// Whose logins wait: users, whole domains, or a part of all users by hash. While nobody is on hold,
// a look is one load of an atomic.
#ifndef POSTERN_ROUTING_HOLDS_H_
#define POSTERN_ROUTING_HOLDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"

namespace postern::routing {

// Hashes whose first hexadecimal digits lie in a range; as `postern route` prints them.
struct HashRange {
  uint64_t first = 0;
  uint64_t last = 0;
  bool Has(uint64_t hash) const { return first <= hash && hash <= last; }
  bool Meets(const HashRange& other) const { return first <= other.last && other.first <= last; }
  // In as few digits as say it, in lower case: ranges are the same when their texts are.
  std::string Text() const;
};
// "00-7f": two beginnings of the same length, 1 to 16 digits. The error says how to write it.
absl::StatusOr<HashRange> ParseHashRange(absl::string_view text);

// What an operator holds.
struct Hold {
  enum class Kind : uint8_t { kUser, kDomain, kHashRange };
  Kind kind = Kind::kUser;
  std::string target;  // the normalised user, the domain without '@', or HashRange::Text()
  std::string who;
  std::string why;
  TimeNs since = 0;
};

// Thread-safe.
class Holds {
 public:
  // Operators hold at most this many targets.
  static constexpr size_t kHoldsMax = 100000;

  Holds() = default;
  Holds(const Holds&) = delete;
  Holds& operator=(const Holds&) = delete;

  // Whether a login of `user`, normalised, has to wait.
  bool Covers(absl::string_view user) const {
    return count_.load(std::memory_order_acquire) != 0 && Look(user);
  }

  // Replaces a hold of the same target. InvalidArgument for a range that is none,
  // ResourceExhausted at the limit.
  absl::Status Add(const Hold& hold);
  // False when there is none.
  bool Remove(Hold::Kind kind, absl::string_view target);
  std::vector<Hold> List() const;

  // For the time of a move, beside what operators hold. Each once for each other.
  void AddForMove(absl::string_view user);
  void RemoveForMove(absl::string_view user);
  // The same for a domain, or for a range of hashes, which must be one.
  void AddForMove(Hold::Kind kind, absl::string_view target);
  void RemoveForMove(Hold::Kind kind, absl::string_view target);

  // The logins that wait, all workers together. False, and nothing is counted, when there are
  // `max` already.
  bool EnterWait(int max);
  void LeaveWait() { waiting_.fetch_sub(1, std::memory_order_relaxed); }
  int waiting() const { return waiting_.load(std::memory_order_relaxed); }
  // Operators' holds and moves in progress.
  size_t size() const { return count_.load(std::memory_order_relaxed); }

 private:
  struct Range {
    HashRange hashes;
    Hold hold;
  };

  struct MovingRange {
    HashRange hashes;
    std::string target;
  };

  bool Look(absl::string_view user) const;
  void Recount();

  std::atomic<size_t> count_{0};
  std::atomic<int> waiting_{0};
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, Hold> users_;
  absl::flat_hash_map<std::string, Hold> domains_;
  std::vector<Range> ranges_;
  absl::flat_hash_map<std::string, int> moving_;
  absl::flat_hash_map<std::string, int> moving_domains_;
  std::vector<MovingRange> moving_ranges_;  // one for each time
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_HOLDS_H_
