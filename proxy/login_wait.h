// How one login waits for a backend that is full or briefly away.
//
// Who finds nobody to log in at joins a line: that of the pool when any of its backends would do,
// else that of the one backend. The first in line tries again every kLookEvery; the others sleep.
// Room that is made calls one; a login that got an answer calls two, so that a backend that is back
// sees its users in quick but growing steps instead of all at once. See proxy/base/wait_line.h for
// why nobody is forgotten.
#ifndef POSTERN_PROXY_LOGIN_WAIT_H_
#define POSTERN_PROXY_LOGIN_WAIT_H_

#include <memory>

#include "proxy/base/time.h"
#include "proxy/login_queue.h"
#include "routing/backend_state.h"
#include "routing/options.h"
#include "routing/pool_queue.h"

namespace postern {

struct LoginWait {
  LoginWait() = default;

  // Of the user's pool; null where nobody waits.
  routing::PoolQueue* queue = nullptr;
  const routing::QueueRules* rules = nullptr;
  // Where waiting would help; null: nowhere.
  WaitLine* line = nullptr;
  // The user has a session there, which is why it is that backend's line; null: another reason.
  // Once that session is over any backend may do, whoever stands in front.
  const routing::BackendState* bound_to = nullptr;
  // Since it first had to wait.
  std::shared_ptr<QueuedLogin> queued;
  // That counts it as waiting; the user's pool may be another one after the wait.
  routing::PoolQueue* counted_in = nullptr;
  TimeNs began = 0;
  TimeNs until = 0;
  WaitLine* stood_in = nullptr;
  // It was called, or stood first: those behind it wait for what it finds.
  bool turn = false;
  // The one backend that may be asked, because it has seen the password; -1: any.
  int only = -1;
  SocketAddress server;  // where a lookup had named one that no backend names
  int asked_again = 0;
};

}  // namespace postern

#endif  // POSTERN_PROXY_LOGIN_WAIT_H_
