// How many users another configuration would move, and where.
#ifndef POSTERN_PROXY_ADMIN_ROUTE_DIFF_H_
#define POSTERN_PROXY_ADMIN_ROUTE_DIFF_H_

#include <cstdint>
#include <istream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/config/config.h"
#include "routing/router.h"

namespace postern::admin {

// One of the two configurations; both pointers outlive the comparison.
struct RoutingSide {
  const config::Config* config = nullptr;
  const routing::Router* router = nullptr;
};

struct RouteDiff {
  struct Move {
    uint64_t users = 0;
    std::vector<std::string> examples;  // the first few, escaped
  };
  uint64_t users = 0;
  uint64_t moved = 0;
  std::map<std::pair<std::string, std::string>, Move> moves;  // by where from and where to
};

// Where the logins of a user go first: the backend's name and address, or that no route knows the
// user. Health counts for nothing.
std::string PlaceOf(const RoutingSide& side, absl::string_view login);

// `users` has one login name a line; what stands behind a tab means nothing, so that a map will do.
// Lines that are empty, begin with # or name a whole domain are left out.
RouteDiff CompareRoutes(const RoutingSide& now, const RoutingSide& next, std::istream* users);

// For a terminal, the largest move first.
std::string RouteDiffText(const RouteDiff& diff);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_ROUTE_DIFF_H_
