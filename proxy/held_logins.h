// The logins of one worker that wait because their users are on hold: see routing/holds.h.
//
// A login waits in silence inside its PASS: it reads nothing and says nothing. Its wait is a
// Pause() of the session, so the login's deadline, a shutdown and a kick end it as they end every
// pause; a release ends it through this list.
#ifndef POSTERN_PROXY_HELD_LOGINS_H_
#define POSTERN_PROXY_HELD_LOGINS_H_

#include "proxy/base/intrusive_list.h"

namespace postern {

class Session;

// Worker thread only.
class HeldLogins {
 public:
  // A session's place in the list, in the frame of the coroutine that waits.
  class Place : public ListNode<Place> {
   public:
    Place(HeldLogins* held, Session* session) : session_(session) { held->places_.PushBack(this); }
    ~Place() { Unlink(); }
    Session* session() const { return session_; }

   private:
    Session* session_;
  };

  HeldLogins() = default;
  HeldLogins(const HeldLogins&) = delete;
  HeldLogins& operator=(const HeldLogins&) = delete;

  // Ends the waits of those who are on hold no more, in their own time.
  void WakeReleased();

 private:
  IntrusiveList<Place> places_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_HELD_LOGINS_H_
