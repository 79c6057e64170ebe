// The list of routes: which one takes a user, and where it leads.
//
// The first route that matches wins, but thousands of them are not tried one after the other: the
// first route of each exact user, of each domain and the first "*" are indexed, the smallest number
// among them wins, and only maps, databases and rules in front of it are asked. Immutable after
// Create(); any number of threads.
#ifndef POSTERN_ROUTING_ROUTE_TABLE_H_
#define POSTERN_ROUTING_ROUTE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "routing/cdb_map.h"
#include "routing/options.h"
#include "routing/target_names.h"
#include "routing/user_map.h"
#include "routing/user_map_file.h"
#include "routing/user_rules.h"

namespace postern::routing {

// A backend or a pool; one of the two is -1.
struct Target {
  int backend = -1;
  int pool = -1;
};

class RouteTable {
 public:
  struct Match {
    int route = -1;  // index into RouterOptions::routes; -1: nobody knows the user
    Target target;
    int lookup = -1;  // index into RouterOptions::lookups: who knows; `target` is the route's own
  };

  // All mistakes at once, one per line: "route 3 (line 41): what is wrong; how to mend it", or the
  // place in the map file. A file that several routes name is loaded once.
  static absl::StatusOr<RouteTable> Create(const RouterOptions& options,
                                           const MapProgress& progress = nullptr);

  // `user` is normalised. Never allocates, but for what RE2 keeps of its automata. A route with a
  // lookup matches everybody: who learns that the lookup does not know the user goes on with
  // `first` behind it.
  Match Find(absl::string_view user, int first = 0) const;
  // What one route alone says, for explanations; route -1 in the answer: it does not match.
  Match Try(size_t route, absl::string_view user) const;

  // The backend or pool of that name; both -1: there is none, or both have it.
  Target FindTarget(absl::string_view name) const;

  size_t size() const { return routes_.size(); }
  // The map of a route; nullptr when it has none.
  const UserMap* map(size_t route) const { return routes_[route].map.get(); }
  // The same for its constant database and its rules.
  const CdbMap* cdb(size_t route) const { return routes_[route].cdb.get(); }
  const UserRules* rules(size_t route) const { return routes_[route].rules.get(); }
  // Users in all maps and databases together.
  size_t mapped_users() const;
  // Of the maps and databases.
  size_t memory_bytes() const;

 private:
  // The first three are asked one by one.
  enum class Kind { kMap, kCdb, kRules, kUser, kDomain, kEveryone, kLookup };
  struct Route {
    Kind kind = Kind::kEveryone;
    std::string key;  // the user or the domain, normalised
    std::shared_ptr<const UserMap> map;
    std::shared_ptr<const CdbMap> cdb;
    std::shared_ptr<const UserRules> rules;
    Target target;
    int lookup = -1;
  };

  friend class RouteTableBuilder;

  Target ToTarget(uint32_t map_target) const;
  // What the map, database or rules of a route say.
  std::optional<uint32_t> Ask(const Route& route, absl::string_view user) const;
  void Index(size_t number);

  std::vector<Route> routes_;
  uint32_t backend_count_ = 0;  // targets in maps: backends first, pools behind them
  absl::flat_hash_map<std::string, int> first_by_user_;
  absl::flat_hash_map<std::string, int> first_by_domain_;
  int first_for_everyone_ = INT32_MAX;
  std::vector<int> asked_routes_;  // with a map, database or rules
  std::vector<int> lookup_routes_;
  TargetNames targets_;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_ROUTE_TABLE_H_
