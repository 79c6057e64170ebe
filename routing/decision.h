// What the router found for one login.
#ifndef POSTERN_ROUTING_DECISION_H_
#define POSTERN_ROUTING_DECISION_H_

#include <array>

namespace postern::routing {

// Backends tried for one login, best first; more would outlast any client's patience.
inline constexpr int kCandidatesMax = 4;

struct Decision {
  bool known = false;  // some route knows this user
  // Index into RouterOptions::lookups: it must be asked, and nothing below is filled in but `route`
  // and the route's own `pool` or candidate, for answers that name neither.
  int lookup = -1;
  int route = -1;  // index into RouterOptions::routes
  int pool = -1;   // index into RouterOptions::pools; -1: a single backend
  int candidate_count = 0;
  std::array<int, kCandidatesMax> candidates{};  // indices into RouterOptions::backends
  // Where the user would have gone, when nobody who may serve this user is usable; -1 otherwise.
  int out = -1;
  // Nobody in the pool is usable, so the candidates are those that may answer nevertheless.
  bool panic = false;
  // There are usable backends, and none of them has room. Then there is no candidate.
  bool full = false;
  // An operator has moved the user: the routes were not asked.
  bool moved = false;
};

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_DECISION_H_
