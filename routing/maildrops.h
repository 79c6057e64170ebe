// Who holds the maildrop of which user, and who waits for it: a maildrop has one lock (RFC 1939
// section 3), so a second login of a user has to wait until the first session has ended.
//
// Only sessions of this process are known here, of all its workers, and only where a pool
// conciliates. A call is made on the thread of whoever causes it; the one that is called passes it
// on to its own.
#ifndef POSTERN_ROUTING_MAILDROPS_H_
#define POSTERN_ROUTING_MAILDROPS_H_

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/time.h"

namespace postern::routing {

// Thread-safe. The lock is one of many, and held for one look into a table and a few calls.
class Maildrops {
 public:
  // One who holds a maildrop or waits for one. It has left the table when it dies.
  class Place : public ListNode<Place> {
   public:
    // `idle` is 0 when the maildrop may have become free, and else how long a holder must have
    // been idle to give way. Runs under the table's lock: it must be quick, and must not touch the
    // table.
    using Call = void (*)(void* owner, DurationNs idle);
    Place(Call call, void* owner) : call_(call), owner_(owner) {}

   private:
    friend class Maildrops;
    Call call_;
    void* owner_;
    TimeNs since_ = 0;
    bool holds_ = false;
  };

  // From now on `place` holds the user's maildrop. Several may: not every server locks.
  void Hold(absl::string_view user, Place* place, TimeNs now);
  // From now on `place` is called when somebody who holds the maildrop has left.
  void Wait(absl::string_view user, Place* place);
  // The place that held or waited for the user's maildrop does so no more. When it returns,
  // `place` is called no more.
  void Leave(absl::string_view user, Place* place);

  // How many hold it.
  size_t Holders(absl::string_view user) const;
  // Calls those who have held it since before `before`, so that they give way if they have been
  // idle for `idle`. How many were called.
  size_t AskToGiveWay(absl::string_view user, TimeNs before, DurationNs idle);

  // Users whose maildrops somebody holds or waits for.
  size_t size() const;

 private:
  struct Drop {
    IntrusiveList<Place> holders;
    IntrusiveList<Place> waiters;
    size_t holder_count = 0;
  };
  struct Shard {
    mutable std::mutex mutex;
    absl::flat_hash_map<std::string, std::unique_ptr<Drop>> users;
  };
  static constexpr size_t kShards = 64;

  Shard& ShardOf(absl::string_view user);
  const Shard& ShardOf(absl::string_view user) const;
  static Drop& DropOf(Shard& shard, absl::string_view user);

  std::array<Shard, kShards> shards_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_MAILDROPS_H_
