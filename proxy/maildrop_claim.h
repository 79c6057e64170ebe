// What a session has to do with the lock of its user's maildrop, where the pool conciliates
// (in_use): a login that met a locked maildrop waits for it, and a session that is logged in holds
// it until its connection to the backend is closed. See in_use.cc.
#ifndef POSTERN_PROXY_MAILDROP_CLAIM_H_
#define POSTERN_PROXY_MAILDROP_CLAIM_H_

#include <memory>
#include <string>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/base/socket_address.h"
#include "proxy/base/time.h"
#include "proxy/mailbox.h"
#include "routing/maildrops.h"
#include "routing/options.h"

namespace postern {

// A place in the table of maildrops whose calls arrive on the session's own thread, and come to
// nothing once it has left. Worker thread only; the calls come from any.
class MaildropPlace : public std::enable_shared_from_this<MaildropPlace> {
 public:
  // `idle` as in routing::Maildrops::Place.
  using OnCalled = void (*)(void* owner, DurationNs idle);
  MaildropPlace(std::shared_ptr<routing::Maildrops> table, Mailbox* mailbox, OnCalled on_called,
                void* owner)
      : table_(std::move(table)),
        mailbox_(mailbox),
        on_called_(on_called),
        owner_(owner),
        place_(&MaildropPlace::Call, this) {}
  MaildropPlace(const MaildropPlace&) = delete;
  MaildropPlace& operator=(const MaildropPlace&) = delete;
  ~MaildropPlace() { CHECK(!in_table_); }

  void Hold(const std::string& user, TimeNs now) {
    Enter(user);
    table_->Hold(user_, &place_, now);
  }
  void Wait(const std::string& user) {
    Enter(user);
    table_->Wait(user_, &place_);
  }
  // Does nothing when it is not there.
  void Leave() {
    if (!std::exchange(in_table_, false)) return;
    table_->Leave(user_, &place_);
  }

 private:
  void Enter(const std::string& user) {
    CHECK(!in_table_);
    in_table_ = true;
    user_ = user;
  }
  static void Call(void* owner, DurationNs idle) {
    auto* self = static_cast<MaildropPlace*>(owner);
    self->mailbox_->Post([place = self->shared_from_this(), idle] {
      if (place->in_table_) place->on_called_(place->owner_, idle);
    });
  }

  const std::shared_ptr<routing::Maildrops> table_;
  Mailbox* const mailbox_;
  const OnCalled on_called_;
  void* const owner_;
  routing::Maildrops::Place place_;
  std::string user_;
  bool in_table_ = false;  // as its own thread sees it
};

struct MaildropClaim {
  MaildropClaim() = default;

  std::shared_ptr<MaildropPlace> place;
  const routing::InUseRules* rules = nullptr;  // of the pool, in the session's snapshot
  TimeNs began = 0;                            // when the backend first said IN-USE; 0: never
  TimeNs until = 0;
  DurationNs pause = 0;  // before the backend is asked again, if no session is known
  bool freed = false;    // a session of the user has ended meanwhile
  // The backend that has seen the password, and nobody else may; its server, where a lookup has
  // named it; and what it said. -1: none.
  int only = -1;
  SocketAddress server;
  std::string words;
  DurationNs waited = 0;  // by the login that is over
};

}  // namespace postern

#endif  // POSTERN_PROXY_MAILDROP_CLAIM_H_
