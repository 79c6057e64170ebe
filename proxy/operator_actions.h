// What an operator may ask of a running server, besides numbers: who is here, and orders about
// users and sessions. The admin endpoint offers it over HTTP; the server does it.
#ifndef POSTERN_PROXY_OPERATOR_ACTIONS_H_
#define POSTERN_PROXY_OPERATOR_ACTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "proxy/session_info.h"

namespace postern {

// Who wants it and why, both escaped; the latter may be empty.
struct Signature {
  std::string who;
  std::string why;
};

// Live sessions, in an operator's words. Empty fields do not matter.
struct SessionQuery {
  std::string user;  // as a client would send it
  // Instead of a user: all of a domain or a range of hashes, as in HoldQuery.
  std::string domain;
  std::string hash_range;
  std::string backend;  // its name
  std::string network;  // "192.0.2.0/24", or one address
  std::string id;       // as the session log writes it
  bool empty() const {
    return user.empty() && domain.empty() && hash_range.empty() && backend.empty() &&
           network.empty() && id.empty();
  }
};

// Whose logins wait: exactly one is set.
struct HoldQuery {
  std::string user;
  std::string domain;      // without '@'
  std::string hash_range;  // "00-7f": hexadecimal beginnings of user hashes, see `postern route`
};

struct HoldReport {
  std::string target;  // "alice@example.org", "@example.org" or "hash 00-7f"
  std::string who;
  std::string why;
  double seconds_ago = 0;
};

// Users, or one domain, or one range of hashes; these as in HoldQuery.
struct MoveOrder {
  std::vector<std::string> users;  // as clients would send them
  std::string domain;
  std::string hash_range;
  std::string to;  // a backend; empty: back to where the routes say
  // How long live sessions may go on before they are ended.
  DurationNs patience = 10 * kSecond;
  bool dry_run = false;  // tell what would be done, and do nothing
  bool force = false;    // also to a backend where nobody can log in now
};

// How far one order is.
struct MoveReport {
  struct User {
    std::string user;      // or HoldReport::target of the many that it moves
    std::string from;      // where the user was when the order came; empty: nowhere
    std::string state;     // "waiting", "moved", "already", "failed"
    int64_t sessions = 0;  // live ones that are waited for
    std::string why;       // of a failure
  };
  uint64_t id = 0;
  std::string to;
  bool over = false;
  uint64_t kicked = 0;  // sessions that were ended
  std::vector<User> users;
};

// Users that go elsewhere than the routes say.
struct MovedUsers {
  struct User {
    std::string user;  // likewise; those of many come first
    std::string backend;
  };
  uint64_t total = 0;
  std::vector<User> users;  // in no particular order, at most as many as asked for
};

// Any thread. Errors are sentences for the operator; InvalidArgument is a mistake in the question,
// NotFound names what there is not.
class OperatorActions {
 public:
  static constexpr size_t kListedMax = 10000;
  static constexpr size_t kUsersPerMoveMax = 500;

  virtual ~OperatorActions() = default;
  virtual absl::StatusOr<SessionPage> Sessions(const SessionQuery& query, size_t limit) = 0;
  // Refuses an empty query.
  virtual absl::StatusOr<KickResult> Kick(const SessionQuery& query, const Signature& by) = 0;
  // New logins of whom it means wait.
  virtual absl::Status Hold(const HoldQuery& query, const Signature& by) = 0;
  // NotFound when nobody holds exactly that.
  virtual absl::Status Release(const HoldQuery& query, const Signature& by) = 0;
  virtual std::vector<HoldReport> Holds() = 0;
  // Begins it. A dry run is over at once.
  virtual absl::StatusOr<MoveReport> Move(const MoveOrder& order, const Signature& by) = 0;
  // Of the moves of late.
  virtual absl::StatusOr<MoveReport> MoveProgress(uint64_t id) = 0;
  // `user`: only this one, empty for all.
  virtual absl::StatusOr<MovedUsers> Moved(const std::string& user, size_t limit) = 0;
};

}  // namespace postern

#endif  // POSTERN_PROXY_OPERATOR_ACTIONS_H_
