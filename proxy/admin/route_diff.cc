#include "proxy/admin/route_diff.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proxy/admin/address_text.h"
#include "proxy/base/escape.h"

namespace postern::admin {
namespace {

constexpr size_t kExamplesMax = 3;
constexpr absl::string_view kNowhere = "nowhere";

std::string Share(uint64_t part, uint64_t whole) {
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return absl::StrFormat("%.1f %%", percent);
}

}  // namespace

std::string PlaceOf(const RoutingSide& side, absl::string_view login) {
  const absl::StatusOr<std::string> user = side.router->NormaliseUser(login);
  if (!user.ok()) return std::string(kNowhere);
  const routing::Decision decision = side.router->Route(*user);
  if (!decision.known || decision.candidate_count == 0) return std::string(kNowhere);
  const config::Backend& backend =
      side.config->backends[static_cast<size_t>(decision.candidates[0])];
  return absl::StrCat(backend.name, " (", AddressText(backend.address), ")");
}

RouteDiff CompareRoutes(const RoutingSide& now, const RoutingSide& next, std::istream* users) {
  RouteDiff diff;
  for (std::string line; std::getline(*users, line);) {
    absl::string_view user = absl::string_view(line).substr(0, line.find('\t'));
    absl::ConsumeSuffix(&user, "\r");
    if (user.empty() || user[0] == '#' || absl::StartsWith(user, "*")) continue;
    ++diff.users;
    std::string from = PlaceOf(now, user);
    std::string to = PlaceOf(next, user);
    if (from == to) continue;
    ++diff.moved;
    RouteDiff::Move& move = diff.moves[{std::move(from), std::move(to)}];
    ++move.users;
    if (move.examples.size() < kExamplesMax) move.examples.push_back(EscapeForLog(user, 80));
  }
  return diff;
}

std::string RouteDiffText(const RouteDiff& diff) {
  if (diff.users == 0) return "no users to compare\n";
  std::string text = absl::StrCat(diff.users, diff.users == 1 ? " user: " : " users: ", diff.moved,
                                  " would move (", Share(diff.moved, diff.users), ")\n");
  std::vector<decltype(diff.moves)::const_iterator> largest;
  for (auto move = diff.moves.begin(); move != diff.moves.end(); ++move) largest.push_back(move);
  std::sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) {
    if (a->second.users != b->second.users) return a->second.users > b->second.users;
    return a->first < b->first;  // as the map has them
  });
  for (const auto& move : largest) {
    absl::StrAppendFormat(&text, "%10d  %7s  %s -> %s, such as %s\n", move->second.users,
                          Share(move->second.users, diff.users), move->first.first,
                          move->first.second, absl::StrJoin(move->second.examples, ", "));
  }
  return text;
}

}  // namespace postern::admin
