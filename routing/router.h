// From a login name to the backends that may serve it. Immutable after Create(): workers share one
// router and read it without locks.
#ifndef POSTERN_ROUTING_ROUTER_H_
#define POSTERN_ROUTING_ROUTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "routing/backend_state.h"
#include "routing/decision.h"
#include "routing/explain.h"
#include "routing/options.h"

namespace postern::routing {

// How a pool is doing.
struct PoolStanding {
  int backends = 0;  // with a weight
  int usable = 0;
  bool panic = false;  // none is usable, and some are used nevertheless
};

class Router {
 public:
  // Loads the map files; `progress` is told how far a large one is. Errors name the file and line
  // and say how to mend it; all that are found at once, one per line.
  static absl::StatusOr<std::unique_ptr<const Router>> Create(
      const RouterOptions& options, const MapProgress& progress = nullptr);
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // Trims, lower-cases the domain, strips or appends one. The error says why a name is unusable
  // (empty, too long, control bytes) and never repeats it.
  absl::StatusOr<std::string> NormaliseUser(absl::string_view login) const;

  // `user` is normalised. First route that matches wins. A pool gives one candidate, the user's own
  // backend, and the next ones by hash only where its `failover` allows it. As if every backend
  // were well and empty. Never allocates.
  Decision Route(absl::string_view user) const;
  // By what the backends can take now; `states` is in the order of RouterOptions::backends.
  Decision Route(absl::string_view user, const BackendStateList& states, TimeNs now) const;

  // After a lookup that does not know the user: as Route(), among the routes behind `route`.
  Decision RouteBehind(int route, absl::string_view user, const BackendStateList& states,
                       TimeNs now) const;
  // Where `user` goes by the answer of the lookup in `route`, which names a backend or pool, or
  // nothing: then it is the route's own. Not known: there is no such name.
  Decision RouteTo(int route, absl::string_view target, absl::string_view user,
                   const BackendStateList& states, TimeNs now) const;
  // The backend whose settings are for the addresses that the lookup in `route` answers: the
  // route's own, or the first of its pool; -1: the route names none.
  int SettingsBackend(int route) const;

  // An attempt that `decision` led to failed at `backend` before the password was sent: ejects the
  // backend when the rules of the pool say so and its share of the pool allows it.
  void NoteFailure(const Decision& decision, size_t backend, absl::string_view reason,
                   const BackendStateList& states, TimeNs now) const;

  // Ejects a backend of the pool that answers worse than the others, when its share of the pool
  // allows it and another one is left. Whoever is out for another reason counts as out, too: one
  // that is slow is better than none. Any thread.
  void EjectOutlier(size_t pool, size_t backend, EjectCause cause, absl::string_view reason,
                    const BackendStateList& states, TimeNs now) const;

  PoolStanding Standing(size_t pool, const BackendStateList& states, TimeNs now) const;

  // The decision for a raw login name, step by step, one line each: normalisation, each route and
  // why it did or did not match, the hash and the candidates with their names. A lookup is asked by
  // `ask`; without one the explanation ends there. *end may be null.
  std::string Explain(absl::string_view login, const AskForExplanation& ask = nullptr,
                      ExplainedEnd* end = nullptr) const;

  const RouterOptions& options() const;
  // Users loaded from map files.
  size_t mapped_users() const;
  // What they occupy, names included.
  size_t map_memory_bytes() const;

 private:
  Router();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_ROUTER_H_
