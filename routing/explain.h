// Routing decisions in sentences, for people who ask why a user went where it went.
#ifndef POSTERN_ROUTING_EXPLAIN_H_
#define POSTERN_ROUTING_EXPLAIN_H_

#include <deque>
#include <string>

#include "absl/strings/string_view.h"
#include "routing/options.h"
#include "routing/pool_choice.h"
#include "routing/route_table.h"

namespace postern::routing {

// One line per step. `choices` are those of the pools, in their order. The name is escaped, the
// text safe for a terminal.
std::string ExplainRoute(const RouterOptions& options, const RouteTable& table,
                         const std::deque<PoolChoice>& choices, absl::string_view login);

}  // namespace postern::routing

#endif  // POSTERN_ROUTING_EXPLAIN_H_
