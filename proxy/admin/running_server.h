// What the running server knows and the file does not: what operators have done by hand, and which
// backends are out. For `postern route`.
#ifndef POSTERN_PROXY_ADMIN_RUNNING_SERVER_H_
#define POSTERN_PROXY_ADMIN_RUNNING_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/time.h"
#include "proxy/config/config.h"
#include "routing/backend_state.h"
#include "routing/decision.h"
#include "routing/lookup/source.h"
#include "routing/options.h"
#include "routing/router.h"

namespace postern::admin {

// As it said. All texts are a peer's, and not escaped.
struct RunningServer {
  struct Word {
    std::string by;
    std::string why;  // may be empty
  };
  struct Backend {
    std::string name;
    std::string pool;
    routing::Service service = routing::Service::kEnabled;
    Word service_word;
    int weight = routing::BackendWeight::kAsConfigured;  // as an operator has set it
    Word weight_word;
    uint32_t weight_configured = 0;
    bool backup = false;
    bool added = false;  // by hand
    Word added_word;
    bool down = false;
    std::string out;  // why it is down or ejected; empty: it is not
  };
  struct Removed {
    std::string name;
    Word word;
  };
  struct Hold {
    std::string target;  // a user, "@domain" or "hash 00-7f"
    Word word;
  };
  std::vector<Backend> backends;
  std::vector<Removed> removed;
  std::vector<std::string> panicking;  // pools where nobody is usable
  std::vector<Hold> holds;
  std::string holds_unknown;  // why they are not known; empty: they are
};

// `status` is the body of GET /api/v1/status, `holds` that of GET /api/v1/holds, empty when it is
// not known. The error says that a body is of another version.
absl::StatusOr<RunningServer> ReadRunningServer(const std::string& status,
                                                const std::string& holds);
// The error is a sentence: nobody answers there.
absl::StatusOr<RunningServer> AskRunningServer(const config::Admin& admin);

// Why logins of `user`, normalised, wait, as "by uid 0 (pid 7): new disks"; empty: they do not.
// Safe for a terminal, as what RunningRoutes says.
std::string HoldText(const RunningServer& running, absl::string_view user);

// What a lookup answered about the user.
struct LookupVerdict {
  routing::LookupAnswer::Kind kind = routing::LookupAnswer::Kind::kTemporary;
  std::string target;
};

// Where the running server sends a user: the routes of the file, by the backends of the server as
// they are. It knows of no session, so what follows from those (affinity, loads) is left out.
class RunningRoutes {
 public:
  // Both outlive it. Reads maps again where backends were added or removed by hand.
  static absl::StatusOr<RunningRoutes> Create(const RunningServer* running,
                                              const std::shared_ptr<const routing::Router>& file);

  // By what lookups have said, by their number. Not `known`: one that would be asked has said
  // nothing, refuses, or names an address.
  routing::Decision Decide(absl::string_view user,
                           const std::map<size_t, LookupVerdict>& verdicts) const;
  // For users who can go nowhere else.
  routing::Decision DecideFor(const std::string& backend) const;

  // What a decision means: "sends the user to m3", "sends the user to one of m2, m3".
  std::string Text(const routing::Decision& decision) const;
  // The backend's name; empty: none, or whichever of a pool.
  std::string First(const routing::Decision& decision) const;
  // What is worth knowing of each backend that the decision was between, as
  // "m1: draining by uid 0 (pid 7): new disks"; so many at most, and how many more there are.
  std::vector<std::string> Notes(const routing::Decision& decision) const;

 private:
  RunningRoutes() = default;

  std::string NameOf(int backend) const;
  // By hand or of itself; empty: nothing.
  std::string NoteOf(const std::string& backend) const;

  const RunningServer* running_ = nullptr;
  std::shared_ptr<const routing::Router> file_;
  std::shared_ptr<const routing::Router> router_;  // with what was added, without what was removed
  std::shared_ptr<routing::BackendStates> states_;
  routing::BackendStateList list_;
  TimeNs now_ = 0;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_RUNNING_SERVER_H_
