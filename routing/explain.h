// Routing decisions in sentences, for people who ask why a user went where it went.
#ifndef POSTERN_ROUTING_EXPLAIN_H_
#define POSTERN_ROUTING_EXPLAIN_H_

#include <deque>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "routing/lookup/source.h"
#include "routing/options.h"
#include "routing/pool_choice.h"
#include "routing/route_table.h"

namespace postern::routing {

// Where an explanation ended.
struct ExplainedEnd {
  int backend = -1;     // that is used, or whose settings are; -1: nowhere
  bool any = false;     // whichever of its pool is chosen at the login; then `backend` is -1
  std::string address;  // as a lookup answered it; empty: the backend's own
};

// Asks the lookup of that index about a user, for real; `note` is more for the reader.
using AskForExplanation =
    std::function<LookupAnswer(size_t lookup, const std::string& user, std::string* note)>;

// One line per step. `choices` are those of the pools, in their order. The name is escaped, the
// text safe for a terminal.
std::string ExplainRoute(const RouterOptions& options, const RouteTable& table,
                         const std::deque<PoolChoice>& choices, absl::string_view login,
                         const AskForExplanation& ask, ExplainedEnd* end);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_EXPLAIN_H_
