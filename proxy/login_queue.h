// A session's turn in a WaitLine: what it needs to be called on its own thread, and to be gone when
// the call comes too late.
//
//   queued = std::make_shared<QueuedLogin>(mailbox, &OnCalled, this);
//   queued->Join(line);  ... wait ...  queued->Leave(/*keep=*/false);
//
// Worker thread only; the calls come from any.
#ifndef POSTERN_PROXY_LOGIN_QUEUE_H_
#define POSTERN_PROXY_LOGIN_QUEUE_H_

#include <cstdint>
#include <memory>

#include "proxy/base/check.h"
#include "proxy/base/wait_line.h"
#include "proxy/mailbox.h"

namespace postern {

class QueuedLogin : public std::enable_shared_from_this<QueuedLogin> {
 public:
  // Told on the thread of `mailbox` that it was called, unless it has left meanwhile.
  using OnCalled = void (*)(void* owner);
  // `epoch` is that of its configuration.
  QueuedLogin(Mailbox* mailbox, OnCalled on_called, void* owner, uint64_t epoch)
      : mailbox_(mailbox),
        on_called_(on_called),
        owner_(owner),
        place_(&QueuedLogin::Call, this, epoch) {}
  QueuedLogin(const QueuedLogin&) = delete;
  QueuedLogin& operator=(const QueuedLogin&) = delete;
  ~QueuedLogin() { CHECK(line_ == nullptr); }

  // Stands in `line` from now on; it outlives the stay. Whoever has left this line with `keep`
  // stands where it stood. Returns whether it is the first.
  bool Join(WaitLine* line) {
    CHECK(line_ == nullptr);
    if (line != last_line_) place_.Forget();
    line_ = last_line_ = line;
    called_ = false;
    return line->Join(&place_);
  }
  bool IsFirst() const { return line_ != nullptr && line_->IsFirst(&place_); }
  bool called() const { return called_; }
  // Returns whether it had been called or stood first: whoever waits behind it now looks to it, and
  // it must either join again or call the next one.
  bool Leave(bool keep) {
    CHECK(line_ != nullptr);
    const WaitLine::Left left = line_->Leave(&place_, keep);
    line_ = nullptr;
    ++stay_;
    return !left.was_in || left.was_first;
  }

 private:
  // Under the line's lock, on the thread of whoever calls.
  static void Call(void* owner) {
    auto* self = static_cast<QueuedLogin*>(owner);
    // Of this stay: one that was left in the meantime has nothing to do with the next.
    self->mailbox_->Post([queued = self->shared_from_this(), stay = self->stay_] {
      if (queued->line_ == nullptr || queued->stay_ != stay) return;
      queued->called_ = true;
      queued->on_called_(queued->owner_);
    });
  }

  Mailbox* const mailbox_;
  const OnCalled on_called_;
  void* const owner_;
  WaitLine::Place place_;
  WaitLine* line_ = nullptr;
  WaitLine* last_line_ = nullptr;
  uint64_t stay_ = 0;  // changes only while it is in no line, so that a caller may read it
  bool called_ = false;
};

}  // namespace postern

#endif  // POSTERN_PROXY_LOGIN_QUEUE_H_
