#include "routing/router.h"

#include <deque>
#include <mutex>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"
#include "routing/explain.h"
#include "routing/pool_choice.h"
#include "routing/route_table.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

std::string Quoted(const std::string& name) {
  return absl::StrCat("\"", EscapeForLog(name, 64), "\"");
}

// `kind` is "backend" or "pool".
template <typename Named>
void CheckNames(absl::string_view kind, const std::vector<Named>& list,
                std::vector<std::string>* mistakes) {
  absl::flat_hash_set<std::string> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].name.empty()) {
      mistakes->push_back(absl::StrCat(kind, " ", i + 1, " has no name"));
    } else if (!seen.insert(list[i].name).second) {
      mistakes->push_back(absl::StrCat("there are two ", kind, "s named ", Quoted(list[i].name),
                                       "; rename one of them"));
    }
  }
}

void CheckPool(const RouterOptions& options, const PoolOptions& pool,
               std::vector<std::string>* mistakes) {
  const std::string subject = absl::StrCat("pool ", Quoted(pool.name));
  absl::flat_hash_set<int> seen;
  bool has_weight = false;
  for (const int index : pool.backends) {
    if (index < 0 || static_cast<size_t>(index) >= options.backends.size()) {
      mistakes->push_back(absl::StrCat(subject, ": there is no backend number ", index));
      return;
    }
    const BackendOptions& backend = options.backends[static_cast<size_t>(index)];
    has_weight = has_weight || (backend.weight > 0 && !backend.backup);
    if (!seen.insert(index).second) {
      mistakes->push_back(
          absl::StrCat(subject, ": backend ", Quoted(backend.name), " is in it twice"));
    }
  }
  if (pool.backends.empty()) {
    mistakes->push_back(absl::StrCat(subject, ": has no backends; add at least one"));
  } else if (!has_weight) {
    mistakes->push_back(absl::StrCat(
        subject, ": every backend has weight 0, so nobody could log in; give one a weight"));
  }
}

absl::Status CheckOptions(const RouterOptions& options) {
  std::vector<std::string> mistakes;
  const absl::Status user = CheckUserOptions(options.user);
  if (!user.ok()) mistakes.emplace_back(user.message());
  CheckNames("backend", options.backends, &mistakes);
  CheckNames("pool", options.pools, &mistakes);
  for (const PoolOptions& pool : options.pools) CheckPool(options, pool, &mistakes);
  if (mistakes.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
}

}  // namespace

struct Router::Impl {
  Impl(const RouterOptions& router_options, RouteTable route_table)
      : options(router_options), table(std::move(route_table)) {}

  RouterOptions options;
  RouteTable table;
  std::deque<PoolChoice> choices;  // of the pools

  // What the route says of itself.
  static Decision Begin(const RouteTable::Match& match);
  Decision Decide(const RouteTable::Match& match, absl::string_view user) const;
  Decision Usable(const RouteTable::Match& match, absl::string_view user,
                  const BackendStateList& states, TimeNs now) const;

  mutable std::mutex eject_mutex;
};

Router::Router() = default;
Router::~Router() = default;

absl::StatusOr<std::unique_ptr<const Router>> Router::Create(const RouterOptions& options,
                                                             const MapProgress& progress) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(RouteTable table, RouteTable::Create(options, progress));
  std::unique_ptr<Router> router(new Router());
  router->impl_ = std::make_unique<Impl>(options, std::move(table));
  // By the router's own copy, which lives as long as they do.
  const RouterOptions& kept = router->impl_->options;
  for (const PoolOptions& pool : kept.pools) router->impl_->choices.emplace_back(&kept, &pool);
  return std::unique_ptr<const Router>(std::move(router));
}

absl::StatusOr<std::string> Router::NormaliseUser(absl::string_view login) const {
  std::string key;
  RETURN_IF_ERROR(routing::NormaliseUser(impl_->options.user, login, &key));
  return key;
}

Decision Router::Route(absl::string_view user) const {
  return impl_->Decide(impl_->table.Find(user), user);
}

Decision Router::Impl::Begin(const RouteTable::Match& match) {
  Decision decision;
  if (match.route < 0) return decision;
  decision.route = match.route;
  decision.lookup = match.lookup;
  if (match.lookup >= 0) return decision;
  decision.known = true;
  decision.pool = match.target.pool;
  return decision;
}

Decision Router::Impl::Decide(const RouteTable::Match& match, absl::string_view user) const {
  Decision decision = Begin(match);
  if (!decision.known) return decision;
  if (decision.pool < 0) {
    decision.candidates[0] = match.target.backend;
    decision.candidate_count = 1;
    return decision;
  }
  decision.candidate_count = choices[static_cast<size_t>(decision.pool)].ByName(
      StableHash(user), absl::MakeSpan(decision.candidates));
  return decision;
}

Decision Router::Impl::Usable(const RouteTable::Match& match, absl::string_view user,
                              const BackendStateList& states, TimeNs now) const {
  Decision decision = Begin(match);
  if (!decision.known) return decision;
  if (decision.pool >= 0) {
    choices[static_cast<size_t>(decision.pool)].Choose(StableHash(user), states, now, &decision);
    return decision;
  }
  if (states[static_cast<size_t>(match.target.backend)]->usable_alone(now)) {
    decision.candidates[0] = match.target.backend;
    decision.candidate_count = 1;
  } else {
    decision.out = match.target.backend;
  }
  return decision;
}

Decision Router::Route(absl::string_view user, const BackendStateList& states, TimeNs now) const {
  return impl_->Usable(impl_->table.Find(user), user, states, now);
}

Decision Router::RouteBehind(int route, absl::string_view user, const BackendStateList& states,
                             TimeNs now) const {
  return impl_->Usable(impl_->table.Find(user, route + 1), user, states, now);
}

Decision Router::RouteTo(int route, absl::string_view target, absl::string_view user,
                         const BackendStateList& states, TimeNs now) const {
  RouteTable::Match match = impl_->table.Try(static_cast<size_t>(route), user);
  match.lookup = -1;
  if (!target.empty()) match.target = impl_->table.FindTarget(target);
  if (match.target.pool < 0 && match.target.backend < 0) match.route = -1;
  return impl_->Usable(match, user, states, now);
}

int Router::SettingsBackend(int route) const {
  const Target target = impl_->table.Try(static_cast<size_t>(route), "").target;
  if (target.pool < 0) return target.backend;
  return impl_->options.pools[static_cast<size_t>(target.pool)].backends[0];
}

void Router::NoteFailure(const Decision& decision, size_t backend, absl::string_view reason,
                         const BackendStateList& states, TimeNs now) const {
  if (decision.pool < 0) return;
  const PoolOptions& pool = impl_->options.pools[static_cast<size_t>(decision.pool)];
  BackendState& state = *states[backend];
  if (!state.OnFailure(pool.eject, now) || state.ejected(now)) return;
  // One at a time: two workers must not eject one too many.
  const std::lock_guard<std::mutex> lock(impl_->eject_mutex);
  int ejected = 0;
  for (const int index : pool.backends) {
    ejected += states[static_cast<size_t>(index)]->ejected(now) ? 1 : 0;
  }
  if ((ejected + 1) * 100 > pool.eject.share_max_percent * static_cast<int>(pool.backends.size())) {
    return;
  }
  state.Eject(pool.eject, reason, now);
}

void Router::EjectOutlier(size_t pool, size_t backend, EjectCause cause, absl::string_view reason,
                          const BackendStateList& states, TimeNs now) const {
  const PoolOptions& options = impl_->options.pools[pool];
  const std::lock_guard<std::mutex> lock(impl_->eject_mutex);
  if (states[backend]->ejected(now)) return;
  int out = 1;
  int usable = 0;
  for (const int index : options.backends) {
    const auto other = static_cast<size_t>(index);
    if (other == backend) continue;
    const bool well = states[other]->usable(now);
    out += well ? 0 : 1;
    // A backup, or one without weight, may be there for other users.
    const BackendOptions& member = impl_->options.backends[other];
    usable += well && !member.backup && states[other]->weight().Settled(member.weight) > 0 ? 1 : 0;
  }
  const int size = static_cast<int>(options.backends.size());
  if (usable == 0 || out * 100 > options.eject.share_max_percent * size) return;
  states[backend]->Eject(options.eject, cause, reason, now);
}

PoolStanding Router::Standing(size_t pool, const BackendStateList& states, TimeNs now) const {
  PoolStanding standing;
  bool hope = false;
  for (const int index : impl_->options.pools[pool].backends) {
    const BackendState& state = *states[static_cast<size_t>(index)];
    const uint32_t configured = impl_->options.backends[static_cast<size_t>(index)].weight;
    if (state.weight().Settled(configured) == 0) continue;
    ++standing.backends;
    standing.usable += state.usable(now) ? 1 : 0;
    hope = hope || state.usable_in_panic();
  }
  standing.panic = standing.usable == 0 && hope;
  return standing;
}

std::string Router::Explain(absl::string_view login, const AskForExplanation& ask,
                            ExplainedEnd* end) const {
  ExplainedEnd ignored;
  return ExplainRoute(impl_->options, impl_->table, impl_->choices, login, ask,
                      end == nullptr ? &ignored : end);
}

const RouterOptions& Router::options() const { return impl_->options; }

size_t Router::mapped_users() const { return impl_->table.mapped_users(); }

size_t Router::map_memory_bytes() const { return impl_->table.memory_bytes(); }

}  // namespace postern::routing
