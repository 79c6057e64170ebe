#include "routing/route_table.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "proxy/base/escape.h"
#include "proxy/base/status_macros.h"
#include "routing/user_key.h"

namespace postern::routing {

// Turns the options into a table and collects what is wrong with them.
class RouteTableBuilder {
 public:
  RouteTableBuilder(const RouterOptions& options, const MapProgress& progress)
      : options_(options), progress_(progress) {}

  absl::StatusOr<RouteTable> Build() {
    table_.backend_count_ = static_cast<uint32_t>(options_.backends.size());
    TargetNames& targets = *targets_;
    for (size_t i = 0; i < options_.backends.size(); ++i) {
      targets.emplace(options_.backends[i].name, static_cast<uint32_t>(i));
    }
    for (size_t i = 0; i < options_.pools.size(); ++i) {
      const auto id = static_cast<uint32_t>(options_.backends.size() + i);
      const auto [place, added] = targets.emplace(options_.pools[i].name, id);
      if (!added) place->second = kAmbiguousTarget;
    }
    for (size_t i = 0; i < options_.routes.size(); ++i) AddRoute(i);
    table_.targets_ = *targets_;
    if (!mistakes_.empty()) return absl::InvalidArgumentError(absl::StrJoin(mistakes_, "\n"));
    return std::move(table_);
  }

 private:
  void AddRoute(size_t number) {
    const RouteOptions& options = options_.routes[number];
    RouteTable::Route route;
    const absl::Status status =
        options.lookup.empty() ? Fill(options, &route) : FillLookupRoute(options, &route);
    if (!status.ok()) {
      // What is about a file names it, and the place in it.
      const std::string& file = FileOf(options);
      if (!file.empty() && absl::StartsWith(status.message(), absl::StrCat(file, ":"))) {
        mistakes_.emplace_back(status.message());
      } else {
        mistakes_.push_back(
            absl::StrCat("route ", number + 1,
                         options.line > 0 ? absl::StrCat(" (line ", options.line, ")") : "", ": ",
                         status.message()));
      }
    }
    table_.routes_.push_back(std::move(route));
    table_.Index(number);
  }

  static const std::string& FileOf(const RouteOptions& options) {
    if (!options.map_file.empty()) return options.map_file;
    return options.cdb_file.empty() ? options.rules_file : options.cdb_file;
  }

  absl::Status Fill(const RouteOptions& options, RouteTable::Route* route) {
    const int kinds =
        static_cast<int>(!options.map_file.empty()) + static_cast<int>(!options.cdb_file.empty()) +
        static_cast<int>(!options.rules_file.empty()) + static_cast<int>(!options.regex.empty());
    if (kinds == 0) return FillPatternRoute(options, route);
    if (kinds > 1 || !options.users.empty()) {
      return absl::InvalidArgumentError(
          "has more than one of a map, cdb, rules, regex and users; make it several routes");
    }
    if (!options.pool.empty() || !options.backend.empty()) {
      return absl::InvalidArgumentError(
          "has a map, cdb or rules and a target; their lines name their own targets, so remove "
          "pool and backend");
    }
    if (!options.regex.empty()) {
      route->kind = RouteTable::Kind::kRules;
      ASSIGN_OR_RETURN(route->rules,
                       UserRules::Single(options.regex, options.target, options.line, targets_));
      return absl::OkStatus();
    }
    const std::string& file = FileOf(options);
    if (!options.map_file.empty()) {
      route->kind = RouteTable::Kind::kMap;
      return Share(&maps_, file, &route->map,
                   [&] { return LoadUserMap(file, options_.user, *targets_, progress_); });
    }
    if (!options.cdb_file.empty()) {
      route->kind = RouteTable::Kind::kCdb;
      return Share(&cdbs_, file, &route->cdb,
                   [&] { return CdbMap::Load(file, options_.user, targets_, progress_); });
    }
    route->kind = RouteTable::Kind::kRules;
    return Share(&rules_, file, &route->rules, [&] { return UserRules::Load(file, targets_); });
  }

  // Files that several routes name are loaded, and complained about, once; null stands for one that
  // could not be loaded.
  template <typename T, typename Load>
  static absl::Status Share(absl::flat_hash_map<std::string, std::shared_ptr<const T>>* loaded,
                            const std::string& file, std::shared_ptr<const T>* out,
                            const Load& load) {
    const auto [place, is_new] = loaded->try_emplace(file);
    if (is_new) {
      auto fresh = load();
      if (!fresh.ok()) return fresh.status();
      place->second = *std::move(fresh);
    }
    *out = place->second;
    return absl::OkStatus();
  }

  absl::Status FillLookupRoute(const RouteOptions& options, RouteTable::Route* route) {
    route->kind = RouteTable::Kind::kLookup;
    if (!options.users.empty() || !options.map_file.empty()) {
      return absl::InvalidArgumentError("has a lookup and users or a map; make it two routes");
    }
    const auto found = std::find(options_.lookups.begin(), options_.lookups.end(), options.lookup);
    if (found == options_.lookups.end()) {
      return absl::InvalidArgumentError(absl::StrCat("there is no lookup \"",
                                                     EscapeForLog(options.lookup, 64),
                                                     "\"; define it or correct the name"));
    }
    route->lookup = static_cast<int>(found - options_.lookups.begin());
    if (options.pool.empty() && options.backend.empty()) return absl::OkStatus();
    return FillTarget(options, route);
  }

  absl::Status FillPatternRoute(const RouteOptions& options, RouteTable::Route* route) {
    if (options.users.empty()) {
      return absl::InvalidArgumentError(
          "needs a map, cdb, rules, regex or users, a name, \"*@domain\" or \"*\"");
    }
    RETURN_IF_ERROR(FillPattern(options.users, route));
    return FillTarget(options, route);
  }

  absl::Status FillTarget(const RouteOptions& options, RouteTable::Route* route) {
    if (options.pool.empty() == options.backend.empty()) {
      return absl::InvalidArgumentError(options.pool.empty()
                                            ? "leads nowhere; name a pool or a backend"
                                            : "names a pool and a backend; keep one of them");
    }
    const bool to_pool = !options.pool.empty();
    const int index = to_pool ? IndexOf(options_.pools, options.pool)
                              : IndexOf(options_.backends, options.backend);
    if (index < 0) {
      const std::string& name = to_pool ? options.pool : options.backend;
      return absl::InvalidArgumentError(absl::StrCat("there is no ", to_pool ? "pool" : "backend",
                                                     " \"", EscapeForLog(name, 64),
                                                     "\"; define it or correct the name"));
    }
    (to_pool ? route->target.pool : route->target.backend) = index;
    return absl::OkStatus();
  }

  absl::Status FillPattern(absl::string_view users, RouteTable::Route* route) {
    if (users == "*") {
      route->kind = RouteTable::Kind::kEveryone;
      return absl::OkStatus();
    }
    if (IsDomainPattern(users)) {
      route->kind = RouteTable::Kind::kDomain;
      return Explained(users, NormaliseDomainPattern(options_.user, users, &route->key));
    }
    route->kind = RouteTable::Kind::kUser;
    if (absl::StrContains(users, '*')) {
      return absl::InvalidArgumentError(absl::StrCat("users = \"", EscapeForLog(users, 64),
                                                     "\": '*' stands alone or before \"@domain\""));
    }
    return Explained(users, NormaliseUser(options_.user, users, &route->key));
  }

  static absl::Status Explained(absl::string_view users, const absl::Status& status) {
    if (status.ok()) return status;
    return absl::InvalidArgumentError(
        absl::StrCat("users = \"", EscapeForLog(users, 64), "\": ", status.message()));
  }

  template <typename Named>
  static int IndexOf(const std::vector<Named>& list, const std::string& name) {
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&](const Named& entry) { return entry.name == name; });
    return found == list.end() ? -1 : static_cast<int>(found - list.begin());
  }

  const RouterOptions& options_;
  const MapProgress& progress_;
  RouteTable table_;
  const std::shared_ptr<TargetNames> targets_ = std::make_shared<TargetNames>();
  absl::flat_hash_map<std::string, std::shared_ptr<const UserMap>> maps_;
  absl::flat_hash_map<std::string, std::shared_ptr<const CdbMap>> cdbs_;
  absl::flat_hash_map<std::string, std::shared_ptr<const UserRules>> rules_;
  std::vector<std::string> mistakes_;
};

absl::StatusOr<RouteTable> RouteTable::Create(const RouterOptions& options,
                                              const MapProgress& progress) {
  return RouteTableBuilder(options, progress).Build();
}

void RouteTable::Index(size_t number) {
  const auto route = static_cast<int>(number);
  switch (routes_[number].kind) {
    case Kind::kMap:
    case Kind::kCdb:
    case Kind::kRules:
      asked_routes_.push_back(route);
      break;
    case Kind::kUser:
      first_by_user_.emplace(routes_[number].key, route);
      break;
    case Kind::kDomain:
      first_by_domain_.emplace(routes_[number].key, route);
      break;
    case Kind::kEveryone:
      first_for_everyone_ = std::min(first_for_everyone_, route);
      break;
    case Kind::kLookup:
      lookup_routes_.push_back(route);
      break;
  }
}

Target RouteTable::ToTarget(uint32_t map_target) const {
  Target target;
  if (map_target < backend_count_) {
    target.backend = static_cast<int>(map_target);
  } else {
    target.pool = static_cast<int>(map_target - backend_count_);
  }
  return target;
}

std::optional<uint32_t> RouteTable::Ask(const Route& route, absl::string_view user) const {
  if (route.map != nullptr) {
    const auto hit = route.map->Find(user);
    if (hit.has_value()) return hit->target;
  } else if (route.cdb != nullptr) {
    const auto hit = route.cdb->Find(user);
    if (hit.has_value()) return hit->target;
  } else if (route.rules != nullptr) {
    return route.rules->Find(user);
  }
  return std::nullopt;
}

RouteTable::Match RouteTable::Find(absl::string_view user, int first) const {
  // A pattern in front of `first` does not match: the search would have ended there.
  int best = first_for_everyone_;
  if (!first_by_user_.empty()) {
    const auto found = first_by_user_.find(user);
    if (found != first_by_user_.end()) best = std::min(best, found->second);
  }
  if (!first_by_domain_.empty()) {
    const auto found = first_by_domain_.find(DomainOf(user));
    if (found != first_by_domain_.end()) best = std::min(best, found->second);
  }
  for (const int route : lookup_routes_) {
    if (route >= first) {
      best = std::min(best, route);
      break;
    }
  }
  for (const int route : asked_routes_) {
    if (route > best) break;
    if (route < first) continue;
    const std::optional<uint32_t> target = Ask(routes_[static_cast<size_t>(route)], user);
    if (target.has_value()) return {route, ToTarget(*target), -1};
  }
  if (best == INT32_MAX) return {};
  const Route& route = routes_[static_cast<size_t>(best)];
  return {best, route.target, route.lookup};
}

Target RouteTable::FindTarget(absl::string_view name) const {
  const auto found = targets_.find(name);
  if (found == targets_.end() || found->second == kAmbiguousTarget) return {};
  return ToTarget(found->second);
}

RouteTable::Match RouteTable::Try(size_t number, absl::string_view user) const {
  const Route& route = routes_[number];
  const auto index = static_cast<int>(number);
  switch (route.kind) {
    case Kind::kMap:
    case Kind::kCdb:
    case Kind::kRules: {
      const std::optional<uint32_t> target = Ask(route, user);
      return target.has_value() ? Match{index, ToTarget(*target), -1} : Match{};
    }
    case Kind::kUser:
      return route.key == user ? Match{index, route.target, -1} : Match{};
    case Kind::kDomain:
      return DomainOf(user) == route.key ? Match{index, route.target, -1} : Match{};
    case Kind::kEveryone:
      return {index, route.target, -1};
    case Kind::kLookup:
      return {index, route.target, route.lookup};
  }
  return {};
}

size_t RouteTable::mapped_users() const {
  absl::flat_hash_set<const void*> seen;
  size_t users = 0;
  for (const Route& route : routes_) {
    if (route.map != nullptr && seen.insert(route.map.get()).second) users += route.map->size();
    if (route.cdb != nullptr && seen.insert(route.cdb.get()).second) users += route.cdb->size();
  }
  return users;
}

size_t RouteTable::memory_bytes() const {
  absl::flat_hash_set<const void*> seen;
  size_t bytes = 0;
  for (const Route& route : routes_) {
    if (route.map != nullptr && seen.insert(route.map.get()).second) {
      bytes += route.map->memory_bytes();
    }
    if (route.cdb != nullptr && seen.insert(route.cdb.get()).second) {
      bytes += route.cdb->memory_bytes();
    }
  }
  return bytes;
}

}  // namespace postern::routing
