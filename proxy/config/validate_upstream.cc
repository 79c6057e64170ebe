// Compares backends, pools and routes of a Draft with each other and completes the Config.
#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/own_addresses.h"
#include "proxy/config/draft.h"
#include "proxy/config/value_syntax.h"
#include "routing/target_names.h"
#include "routing/user_rules.h"

namespace postern::config {
namespace {

// A setting that was written but could not be read: what depends on it is not judged.
template <typename T>
bool Unreadable(const Setting<T>& setting) {
  return setting.written && !setting.good;
}

// The rules inside one table, whichever pool or backend it is. `tls_used` and `master_used`:
// whether any backend this table speaks for uses TLS, or logs in as master user.
void ValidateUnused(const UpstreamDraft& table, bool tls_used, bool master_used,
                    Diagnostics* diagnostics) {
  if (!tls_used) {
    const auto useless = [diagnostics](absl::string_view key, Position where) {
      diagnostics->Add(where, absl::StrCat(key,
                                           " means nothing while tls = \"off\" (the default "
                                           "for backends): nothing would be verified; set "
                                           "tls = \"implicit\" or \"stls\", or remove it"));
    };
    if (table.ca.written) useless("ca", table.ca.position);
    if (table.server_name.written) useless("server_name", table.server_name.position);
    if (table.insecure.written) useless("insecure", table.insecure.position);
  }
  if (!master_used) {
    const auto useless = [diagnostics](absl::string_view key, Position where) {
      diagnostics->Add(where, absl::StrCat(key,
                                           " means nothing without login = \"master\"; set "
                                           "it, or remove this"));
    };
    if (table.master_user.written) useless("master_user", table.master_user.position);
    if (table.master_password_file.written) {
      useless("master_password_file", table.master_password_file.position);
    }
    if (table.master_format.written) useless("master_format", table.master_format.position);
  }
  if (table.login.good && table.login.value == UpstreamLogin::kMaster && table.mechanism.good &&
      table.mechanism.value == UpstreamMechanism::kUserPass && !table.master_format.written) {
    diagnostics->Add(table.mechanism.position,
                     "login = \"master\" logs in by SASL PLAIN where there is no master_format; "
                     "remove mechanism = \"user-pass\", or write master_format = "
                     "\"{user}*{master}\"");
  }
}

struct Resolved {
  Backend value;
  bool tls_used = false;
  bool master_used = false;
};

void ResolveTls(const BackendDraft& draft, const UpstreamDraft& pool, Resolved* resolved,
                Diagnostics* diagnostics) {
  const Setting<UpstreamTls>& tls = Effective(draft.own.tls, pool.tls);
  const Setting<std::string>& ca = Effective(draft.own.ca, pool.ca);
  const Setting<bool>& insecure = Effective(draft.own.insecure, pool.insecure);
  const Setting<std::string>& name = Effective(draft.own.server_name, pool.server_name);
  Backend& backend = resolved->value;
  backend.tls = tls.value;
  resolved->tls_used = Unreadable(tls) || tls.value != UpstreamTls::kOff;
  if (!resolved->tls_used || Unreadable(tls)) return;
  backend.tls_options.insecure = insecure.value;
  if (!insecure.value) backend.tls_options.ca_file = ca.value;
  backend.tls_options.server_name = name.good             ? name.value
                                    : backend.address.srv ? std::string()
                                                          : backend.address.host;
  // The backend's own `insecure = true` overrides a ca of its pool; a ca written at the backend is
  // never ignored silently.
  if (insecure.value && draft.own.ca.written) {
    diagnostics->Add(draft.own.ca.position,
                     "ca means nothing with insecure = true, which verifies nothing; remove one "
                     "of them");
  }
  if (backend.address.srv && !insecure.value && !name.written) {
    // RFC 6125: what DNS answers is no name to trust.
    diagnostics->Add(draft.address.position,
                     "a service in DNS has no name that the certificate could carry; write "
                     "server_name = \"mail1.example.net\"");
  }
  if (backend.address.is_unix() && !insecure.value && !name.written) {
    diagnostics->Add(draft.address.position,
                     "a unix socket has no name that the certificate could carry; write "
                     "server_name = \"mail1.example.net\"");
  }
}

// `verified`: whether we can tell who the user is by ourselves.
void ResolveLogin(const BackendDraft& draft, const UpstreamDraft& pool, bool verified,
                  bool secrets_written, Resolved* resolved, Diagnostics* diagnostics) {
  const Setting<UpstreamLogin>& login = Effective(draft.own.login, pool.login);
  const Setting<UpstreamMechanism>& mechanism = Effective(draft.own.mechanism, pool.mechanism);
  const Setting<std::string>& user = Effective(draft.own.master_user, pool.master_user);
  const Setting<std::string>& file =
      Effective(draft.own.master_password_file, pool.master_password_file);
  Backend& backend = resolved->value;
  backend.login = login.value;
  backend.referrals = Effective(draft.own.referrals, pool.referrals).value;
  backend.mechanism = mechanism.value;
  backend.pipelining = Effective(draft.own.pipelining, pool.pipelining).value;
  resolved->master_used = Unreadable(login) || login.value == UpstreamLogin::kMaster;
  if (login.value == UpstreamLogin::kSecret && !secrets_written) {
    diagnostics->Add(login.position,
                     "login = \"secret\" logs in with the user's stored secret; write secrets = "
                     "\"/etc/postern/secrets\" in [auth]");
  }
  if (login.value != UpstreamLogin::kMaster) return;
  backend.master_format = Effective(draft.own.master_format, pool.master_format).value;
  if (backend.master_format.empty()) backend.mechanism = UpstreamMechanism::kAuthPlain;
  backend.master_user = user.value;
  backend.master_password_file = file.value;
  if (user.written && file.written) {
    if (verified) return;
    diagnostics->Add(login.position,
                     "login = \"master\" opens every maildrop, so the user must be verified here; "
                     "write secrets = \"/etc/postern/secrets\" in [auth]");
    return;
  }
  std::string missing;
  if (!user.written) missing = "master_user = \"proxy\"";
  if (!file.written) {
    absl::StrAppend(&missing, missing.empty() ? "" : " and ",
                    "master_password_file = \"/etc/postern/master\"");
  }
  diagnostics->Add(login.position,
                   absl::StrCat("login = \"master\" of backend \"", draft.name.value,
                                "\" needs a master user and a password; write ", missing));
}

// A login would come back to us, again and again. Which addresses the machine has beside loopback
// is known when the server runs.
void ValidateNotOurselves(const Draft& draft, const BackendDraft& backend,
                          Diagnostics* diagnostics) {
  if (!backend.address.good || (!backend.host_port.is_literal() && !backend.host_port.is_unix())) {
    return;
  }
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(backend.address.value);
  if (!address.ok()) return;
  for (const ListenerDraft& listener : draft.listeners) {
    if (!listener.address.good) continue;
    const OwnAddresses own({{listener.value.address, listener.v6only.value}}, {});
    if (!own.Has(*address)) continue;
    diagnostics->Add(
        backend.address.position,
        absl::StrCat("address = \"", backend.address.value, "\" is the listener in line ",
                     listener.table.line,
                     ": logins would come back to us; write where the mail server is"));
    return;
  }
}

void ResolveBackends(Draft* draft, Diagnostics* diagnostics) {
  std::vector<bool> pool_tls(draft->pools.size()), pool_master(draft->pools.size());
  std::vector<bool> pool_has_own(draft->pools.size());
  const bool verified =
      draft->secrets_written || LookupsJudgePasswords(*draft) || OnlyByCertificate(*draft);
  for (const BackendDraft& from : draft->backends) {
    ValidateNotOurselves(*draft, from, diagnostics);
    Resolved resolved;
    Backend& backend = resolved.value;
    backend.name = from.name.value;
    backend.address = from.host_port;
    backend.line = from.table.line;
    backend.agent = from.agent;
    static const UpstreamDraft kNothing;
    const auto pool = static_cast<size_t>(from.pool);
    const UpstreamDraft& defaults = from.pool < 0 ? kNothing : draft->pools[pool].defaults;
    ResolveTls(from, defaults, &resolved, diagnostics);
    ResolveLogin(from, defaults, verified, draft->secrets_written, &resolved, diagnostics);
    ResolveIntroduction(from.own, defaults, &backend, diagnostics);
    ValidateHealth(Effective(from.own.health, defaults.health), resolved.tls_used,
                   resolved.master_used, &backend, diagnostics);
    ValidateUnused(from.own, resolved.tls_used, resolved.master_used, diagnostics);
    if (from.pool >= 0) {
      pool_has_own[pool] = true;
      if (resolved.tls_used) pool_tls[pool] = true;
      if (resolved.master_used) pool_master[pool] = true;
    }
    routing::BackendOptions options;
    options.name = backend.name;
    options.weight = from.weight;
    options.backup = from.backup.value;
    options.limits.sessions_max = Effective(from.own.max_sessions, defaults.max_sessions).value;
    options.limits.logins_max =
        Effective(from.own.max_logins_in_flight, defaults.max_logins_in_flight).value;
    draft->config.routing.backends.push_back(std::move(options));
    draft->config.backends.push_back(std::move(backend));
  }
  for (size_t i = 0; i < draft->pools.size(); ++i) {
    const UpstreamDraft& defaults = draft->pools[i].defaults;
    if (pool_has_own[i]) {
      ValidateUnused(defaults, pool_tls[i], pool_master[i], diagnostics);
    }
    if (defaults.health.written && !pool_has_own[i] && draft->pools[i].backends_good) {
      diagnostics->Add(defaults.health.position,
                       "health of a pool speaks for the backends written inside it, and this pool "
                       "only names others; write it at their [[backend]]");
    }
    if (defaults.insecure.value && defaults.ca.written) {
      diagnostics->Add(defaults.ca.position,
                       "ca means nothing with insecure = true, which verifies nothing; remove "
                       "one of them");
    }
  }
}

// The first definition of each name; later ones are reported. Pools and backends share one space
// of names, because a map file may name either.
class Names {
 public:
  void Add(bool is_pool, const Setting<std::string>& name, int index, Diagnostics* diagnostics) {
    if (!name.good) return;
    const Entry entry{name.position.line, index};
    const auto [same_kind, is_new] = Of(is_pool)->try_emplace(name.value, entry);
    const auto other_kind = Of(!is_pool)->find(name.value);
    const absl::string_view kind = is_pool ? "pool" : "backend";
    if (!is_new) {
      diagnostics->Add(
          name.position,
          absl::StrCat(kind, " \"", name.value, "\" has the name of the ", kind, " in line ",
                       same_kind->second.line,
                       is_pool ? "; give each pool its own"
                               : "; define it once, as a [[backend]], and list its name in quotes "
                                 "in each pool, or give each its own name"));
    } else if (other_kind != Of(!is_pool)->end()) {
      diagnostics->Add(name.position,
                       absl::StrCat(kind, " \"", name.value, "\" has the name of the ",
                                    is_pool ? "backend" : "pool", " in line ",
                                    other_kind->second.line, "; give each its own"));
    }
  }

  // -1: no such name of this kind.
  int Find(absl::string_view name, bool is_pool) const {
    const auto& entries = is_pool ? pools_ : backends_;
    const auto found = entries.find(name);
    return found == entries.end() ? -1 : found->second.index;
  }

  // Why Find() failed, with the nearest name.
  std::string Unknown(absl::string_view name, bool is_pool) const {
    if (Find(name, !is_pool) >= 0) {
      return is_pool ? absl::StrCat("\"", name, "\" is a backend, not a pool; write backend = \"",
                                    name, "\"")
                     : absl::StrCat("\"", name, "\" is a pool, not a backend; write pool = \"",
                                    name, "\"");
    }
    std::vector<std::string> known;
    for (const auto& [candidate, entry] : is_pool ? pools_ : backends_) known.push_back(candidate);
    // The tables come in no particular order, the suggestion must.
    std::sort(known.begin(), known.end());
    const std::string suggestion = DidYouMean(name, known);
    return absl::StrCat("there is no ", is_pool ? "pool" : "backend", " \"", name, "\"",
                        !suggestion.empty() ? suggestion
                        : is_pool           ? "; define it with [[pool]]"
                                            : "; define it with [[backend]] or in a pool");
  }

 private:
  struct Entry {
    int line;
    int index;
  };
  using Entries = absl::flat_hash_map<std::string, Entry>;
  Entries* Of(bool is_pool) { return is_pool ? &pools_ : &backends_; }

  Entries pools_;
  Entries backends_;
};

void ResolveMembers(const PoolDraft& pool, const Names& names, Draft* draft,
                    routing::PoolOptions* options, Diagnostics* diagnostics) {
  std::set<int> seen;
  bool all_found = pool.backends_good;
  uint64_t weight = 0;
  bool only_backups = true;
  for (const PoolMember& member : pool.members) {
    const int index = member.backend >= 0 ? member.backend : names.Find(member.name, false);
    if (index < 0) {
      all_found = false;
      const std::string unknown =
          names.Find(member.name, true) >= 0
              ? absl::StrCat("\"", member.name, "\" is a pool; a pool holds backends only")
              : names.Unknown(member.name, false);
      diagnostics->Add(member.position, unknown);
      continue;
    }
    if (!seen.insert(index).second) {
      diagnostics->Add(member.position, absl::StrCat("backend \"", member.name,
                                                     "\" stands twice in this pool; remove one"));
      continue;
    }
    const BackendDraft& backend = draft->backends[static_cast<size_t>(index)];
    only_backups = only_backups && backend.backup.value;
    if (!backend.backup.value) weight += backend.weight;
    options->backends.push_back(index);
  }
  if (!all_found) return;
  if (pool.members.empty()) {
    diagnostics->Add(pool.backends,
                     "this pool has no backends; write backends = [{ name = \"mail1\", address "
                     "= \"10.0.0.11:110\" }]");
  } else if (only_backups) {
    diagnostics->Add(pool.backends,
                     "every backend of this pool is a backup; leave backup = true out for those "
                     "that serve while all is well");
  } else if (weight == 0) {
    diagnostics->Add(pool.backends,
                     "every backend of this pool has weight 0: nobody could log in; give one of "
                     "them a weight");
  }
}

// "name@domain", "name", "*@domain" or "*".
bool IsUserPattern(absl::string_view pattern) {
  if (pattern == "*") return true;
  if (absl::StartsWith(pattern, "*@")) return IsUserDomain(pattern.substr(2));
  if (pattern.find('*') != absl::string_view::npos) return false;
  return absl::StripAsciiWhitespace(pattern).size() == pattern.size();
}

void ValidateTarget(const RouteDraft& route, const Names& names, Diagnostics* diagnostics) {
  if (route.pool.written && route.backend.written) {
    diagnostics->Add(route.backend.position,
                     "this route has both pool and backend; keep one of them");
    return;
  }
  if (!route.pool.written && !route.backend.written) {
    diagnostics->Add(route.table,
                     "this route leads nowhere; write pool = \"NAME\" or backend = \"NAME\"");
    return;
  }
  if (route.pool.good && names.Find(route.pool.value, true) < 0) {
    diagnostics->Add(route.pool.position, names.Unknown(route.pool.value, true));
  }
  if (route.backend.good && names.Find(route.backend.value, false) < 0) {
    diagnostics->Add(route.backend.position, names.Unknown(route.backend.value, false));
  }
}

// What a route goes by, other than `users`: its key, and what names the targets then.
struct RouteKind {
  const Setting<std::string>* setting;
  absl::string_view key;
  absl::string_view names_targets;
};

std::vector<RouteKind> KindsOf(const RouteDraft& route) {
  return {{&route.map, "map", "the map names it for each user"},
          {&route.cdb, "cdb", "the database names it for each user"},
          {&route.rules, "rules", "the rules name it"},
          {&route.regex, "regex", "target names it"}};
}

bool GoesByUsers(const RouteDraft& route) {
  const std::vector<RouteKind> kinds = KindsOf(route);
  return std::none_of(kinds.begin(), kinds.end(),
                      [](const RouteKind& kind) { return kind.setting->written; });
}

// Compiles the rule of a route that has one, to name its place in the file if it is wrong.
void ValidateRegex(const Draft& draft, const RouteDraft& route, Diagnostics* diagnostics) {
  if (!route.regex.good || !route.target.good) return;
  auto targets = std::make_shared<routing::TargetNames>();
  for (const BackendDraft& backend : draft.backends) targets->emplace(backend.name.value, 0);
  for (const PoolDraft& pool : draft.pools) {
    const auto [place, added] = targets->emplace(pool.name.value, 0);
    if (!added) place->second = routing::kAmbiguousTarget;
  }
  const auto rule = routing::UserRules::Single(route.regex.value, route.target.value, 0, targets);
  if (!rule.ok()) diagnostics->Add(route.regex.position, rule.status().message());
}

// Whether `route` goes by something else than `users`; what it says besides is checked then.
bool ValidateRouteKind(const RouteDraft& route, Diagnostics* diagnostics) {
  const RouteKind* kind = nullptr;
  const std::vector<RouteKind> kinds = KindsOf(route);
  for (const RouteKind& each : kinds) {
    if (!each.setting->written) continue;
    if (kind != nullptr) {
      diagnostics->Add(
          each.setting->position,
          absl::StrCat("this route has both ", kind->key, " and ", each.key, "; write two routes"));
      return true;
    }
    kind = &each;
  }
  if (route.target.written && !route.regex.written) {
    diagnostics->Add(route.target.position,
                     "target belongs to a regex; write pool = \"NAME\" or backend = \"NAME\"");
  }
  if (kind == nullptr) return false;
  if (route.users.written) {
    diagnostics->Add(route.users.position, absl::StrCat("this route has both ", kind->key,
                                                        " and users; write two routes"));
    return true;
  }
  const auto useless = [&](absl::string_view key, const Setting<std::string>& setting) {
    if (!setting.written) return;
    diagnostics->Add(setting.position, absl::StrCat("a route with a ", kind->key, " takes no ", key,
                                                    ": ", kind->names_targets, "; remove it"));
  };
  useless("pool", route.pool);
  useless("backend", route.backend);
  if (route.regex.written && !route.target.written) {
    diagnostics->Add(route.table,
                     "this route leads nowhere; write target = \"NAME\", where \\1 stands for what "
                     "the first parentheses of regex matched");
  }
  return true;
}

void ValidateRoute(const RouteDraft& route, const Names& names, const Draft& draft,
                   Diagnostics* diagnostics) {
  if (route.lookup.written) {
    ValidateLookupRoute(route, draft, diagnostics);
    for (const RouteKind& kind : KindsOf(route)) {
      if (!kind.setting->written) continue;
      diagnostics->Add(kind.setting->position, absl::StrCat("this route has both lookup and ",
                                                            kind.key, "; write two routes"));
    }
    // A target is not needed: answers may name one.
    if (route.pool.written || route.backend.written) ValidateTarget(route, names, diagnostics);
    return;
  }
  if (ValidateRouteKind(route, diagnostics)) return;
  if (!route.users.written) {
    diagnostics->Add(route.table,
                     "this route matches nobody; write users = \"*@example.org\", users = \"*\", "
                     "map = \"users.map\" or lookup = \"NAME\"");
    return;
  }
  if (route.users.good && !IsUserPattern(route.users.value)) {
    diagnostics->Add(route.users.position,
                     absl::StrCat("users = \"", route.users.value,
                                  "\" is not \"name@domain\", \"name\", \"*@domain\" or \"*\"; "
                                  "write one of these, or list names in a map"));
  }
  ValidateTarget(route, names, diagnostics);
}

void ValidateRoutes(Draft* draft, const Names& names, Diagnostics* diagnostics) {
  if (draft->routes.empty()) {
    diagnostics->Add({1, 1},
                     "there is no [[route]]; write one with users = \"*\" and pool = \"NAME\"");
  }
  absl::flat_hash_map<std::string, int> lines;
  int catch_all = 0;
  for (const RouteDraft& route : draft->routes) {
    ValidateRoute(route, names, *draft, diagnostics);
    ValidateRegex(*draft, route, diagnostics);
    if (catch_all > 0) {
      diagnostics->Add(route.table,
                       absl::StrCat("nobody reaches this route: users = \"*\" in line ", catch_all,
                                    " matches everybody; move it behind this one"));
    } else if (route.users.good && GoesByUsers(route)) {
      const auto [first, is_new] = lines.try_emplace(route.users.value, route.users.position.line);
      if (!is_new) {
        diagnostics->Add(route.users.position,
                         absl::StrCat("users = \"", route.users.value, "\" stands already in line ",
                                      first->second, ", and the first match wins; remove one"));
      }
      if (route.users.value == "*") catch_all = route.users.position.line;
    }
    routing::RouteOptions options;
    options.map_file = route.map.value;
    options.cdb_file = route.cdb.value;
    options.rules_file = route.rules.value;
    options.regex = route.regex.value;
    options.target = route.target.value;
    options.users = route.users.value;
    options.pool = route.pool.value;
    options.backend = route.backend.value;
    options.lookup = route.lookup.value;
    options.line = route.table.line;
    draft->config.routing.routes.push_back(std::move(options));
  }
}

}  // namespace

void ValidateUpstreams(Draft* draft, Diagnostics* diagnostics) {
  Names names;
  for (size_t i = 0; i < draft->backends.size(); ++i) {
    names.Add(false, draft->backends[i].name, static_cast<int>(i), diagnostics);
  }
  for (size_t i = 0; i < draft->pools.size(); ++i) {
    names.Add(true, draft->pools[i].name, static_cast<int>(i), diagnostics);
  }
  if (draft->pools.empty() && draft->backends.empty()) {
    diagnostics->Add({1, 1},
                     "there is no backend; write a [[pool]] with backends = [{ name = \"mail1\", "
                     "address = \"10.0.0.11:110\" }]");
  }
  ResolveBackends(draft, diagnostics);
  for (const PoolDraft& pool : draft->pools) {
    routing::PoolOptions options;
    options.name = pool.name.value;
    options.eject = pool.eject;
    ValidateEject(pool, diagnostics);
    options.affinity = pool.affinity;
    if (pool.affinity_for.good) options.affinity_for = pool.affinity_for.value;
    if (pool.in_use.good) options.in_use = pool.in_use.value;
    ValidateInUse(pool.in_use, draft->config.timeouts, diagnostics);
    ResolveMembers(pool, names, draft, &options, diagnostics);
    ResolveBalance(pool.balance, *draft, &options, diagnostics);
    if (options.affinity_for > 0 && (!options.affinity || !options.failover)) {
      diagnostics->Add(
          pool.affinity_for.position,
          absl::StrCat(
              "affinity_for does nothing without ",
              options.failover ? "affinity" : "failover = true",
              options.failover ? "" : ": each user has one backend, whoever was there last",
              "; remove it"));
    }
    draft->config.routing.pools.push_back(std::move(options));
  }
  for (const Lookup& lookup : draft->config.lookups) {
    draft->config.routing.lookups.push_back(lookup.options.name);
  }
  ValidateRoutes(draft, names, diagnostics);
}

}  // namespace postern::config
