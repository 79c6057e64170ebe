// A line of people who wait on several threads: first come, first called.
//
// Whoever waits owns its Place and says what a call does: usually it posts a task to its own
// thread. A call is a chance and no promise: who finds that it came to nothing joins again and
// stands where it stood. So that nobody waits for a call that never comes, two rules hold for all
// users:
//
//   * who stands first looks for itself now and then whether its time has come;
//   * who was called, or stood first and leaves, calls the next one when done.
//
// Then a line that is not empty always has somebody who acts for it.
//
// Those in a line may see the world by different configurations, because a reload leaves everybody
// what they began with: one may wait for a backend to have room where another one knows of a new
// backend. So each says its epoch, and
//
//   * who is called, or stands first and looks, calls the first one of a later epoch at once: what
//     it finds itself says nothing to that one;
//   * a newcomer need not stand behind those of earlier epochs.
#ifndef POSTERN_PROXY_BASE_WAIT_LINE_H_
#define POSTERN_PROXY_BASE_WAIT_LINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/time.h"

namespace postern {

// Thread-safe. The lock is held for a few steps along the list.
class WaitLine {
 public:
  // One who waits, in one line at a time. Has left the line when it dies.
  class Place : public ListNode<Place> {
   public:
    // Runs on the thread of whoever calls, under the line's lock: it must be quick, and must not
    // touch the line. Once Leave() has returned it runs no more.
    using Call = void (*)(void* owner);
    Place(Call call, void* owner, uint64_t epoch = 0) : call_(call), owner_(owner), epoch_(epoch) {}
    // Before it joins another line. In no line now.
    void Forget() { number_ = 0; }

   private:
    friend class WaitLine;
    Call call_;
    void* owner_;
    const uint64_t epoch_;
    uint64_t number_ = 0;  // 0: has not been in this line
  };

  // Behind all who came before. A place that was called, or that left with `keep`, stands again
  // where it stood. Returns whether it is the first.
  bool Join(Place* place);

  struct Left {
    bool was_in = false;     // not called meanwhile
    bool was_first = false;  // and stood in front
  };
  // With `keep` the place may join this line again where it stood.
  Left Leave(Place* place, bool keep);

  bool IsFirst(const Place* place) const;

  // Takes the first `count` out and calls them; how many there were.
  size_t CallNext(size_t count);
  // The same for the first one of a later epoch, if there is one.
  void CallLater(uint64_t epoch);
  // As CallNext() for one, because one has just made room: what the line's speed is learnt from.
  void CallForRoom(TimeNs now);

  // How many stand in it. Takes no lock.
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  // Of this epoch and of later ones: whom a newcomer stands behind. Takes no lock while it is
  // empty.
  size_t SizeSince(uint64_t epoch) const;
  // How long such a newcomer will wait if room is made as fast as lately; 0 while that is not
  // known, because none has been made since somebody waits.
  DurationNs ExpectedWait(uint64_t epoch) const;

 private:
  // Under the lock.
  void TakeOut(Place* place);
  size_t CountSince(uint64_t epoch) const;
  void ForgetSpeed();

  mutable std::mutex mutex_;
  IntrusiveList<Place> places_;        // by number
  std::map<uint64_t, size_t> epochs_;  // how many of each stand in it
  uint64_t last_number_ = 0;
  TimeNs last_room_at_ = 0;  // 0: the line has been empty since
  DurationNs room_gap_ = 0;  // between two rooms, a moving average
  std::atomic<size_t> size_{0};
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_WAIT_LINE_H_
