#include "routing/explain.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proxy/base/escape.h"
#include "proxy/base/time.h"
#include "routing/router.h"
#include "routing/stable_hash.h"
#include "routing/user_key.h"

namespace postern::routing {
namespace {

// Routes that do not match are told one by one up to here, then counted.
constexpr size_t kMissesToldMax = 20;

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", EscapeForLog(text, 4 * kUserBytesMax), "\"");
}

// 1203441 -> "1 203 441"
std::string Grouped(size_t number) {
  std::string text = absl::StrCat(number);
  for (size_t place = text.size(); place > 3; place -= 3) text.insert(place - 3, 1, ' ');
  return text;
}

void AddLine(std::string* text, absl::string_view subject, absl::string_view sentence) {
  absl::StrAppendFormat(text, "%-10s %s\n", subject, sentence);
}

std::string DescribeChanges(const UserOptions& options, const UserChanges& changes) {
  std::vector<std::string> parts;
  if (changes.trimmed) parts.push_back("blanks at the ends removed");
  if (changes.stripped) parts.push_back("domain stripped");
  if (changes.lowered) parts.push_back("local part in lower case");
  if (changes.lowercased) parts.push_back("domain in lower case");
  if (changes.appended) {
    parts.push_back(absl::StrCat("default domain ", Quoted(options.default_domain), " added"));
  }
  return parts.empty() ? "as it is" : absl::StrJoin(parts, ", ");
}

std::string DescribeRoute(const RouterOptions& options, const RouteTable& table, size_t route) {
  const RouteOptions& entry = options.routes[route];
  const std::string line = entry.line > 0 ? absl::StrCat(" (line ", entry.line, ")") : "";
  if (const UserMap* map = table.map(route)) {
    return absl::StrCat("map ", EscapeForLog(entry.map_file), " (", Grouped(map->size()),
                        map->size() == 1 ? " user)" : " users)", line);
  }
  if (!entry.lookup.empty()) return absl::StrCat("lookup ", Quoted(entry.lookup), line);
  if (const CdbMap* cdb = table.cdb(route)) {
    return absl::StrCat("cdb ", EscapeForLog(entry.cdb_file), " (", Grouped(cdb->size()),
                        cdb->size() == 1 ? " user)" : " users)", line);
  }
  if (!entry.regex.empty()) return absl::StrCat("regex ", Quoted(entry.regex), line);
  if (const UserRules* rules = table.rules(route)) {
    return absl::StrCat("rules ", EscapeForLog(entry.rules_file), " (", Grouped(rules->size()),
                        rules->size() == 1 ? " rule)" : " rules)", line);
  }
  return absl::StrCat("users ", Quoted(entry.users), line);
}

// Why a route does not take the user.
std::string DescribeMiss(const RouterOptions& options, const RouteTable& table, size_t route,
                         absl::string_view user) {
  if (table.map(route) != nullptr || table.cdb(route) != nullptr) return "not in it";
  const UserRules* rules = table.rules(route);
  if (rules == nullptr) return "does not match";
  const UserRules::Hit hit = rules->Explain(user);
  if (hit.line == 0) return options.routes[route].regex.empty() ? "none matches" : "does not match";
  return absl::StrCat(
      options.routes[route].regex.empty() ? absl::StrCat("that of line ", hit.line, " ") : "",
      "matches, but ",
      hit.name.empty() ? "forms no name"
                       : absl::StrCat("no backend and no pool is named ", Quoted(hit.name)));
}

// What in this route knows the user.
std::string DescribeMatch(const RouteTable& table, size_t route, absl::string_view user) {
  bool by_domain = false;
  if (const UserMap* map = table.map(route)) {
    const auto hit = map->Find(user);
    by_domain = hit.has_value() && hit->by_domain;
  } else if (const CdbMap* cdb = table.cdb(route)) {
    const auto hit = cdb->Find(user);
    by_domain = hit.has_value() && hit->by_domain;
  } else if (const UserRules* rules = table.rules(route)) {
    const UserRules::Hit hit = rules->Explain(user);
    return absl::StrCat("the rule of line ", hit.line, " matches");
  } else {
    return "matches";
  }
  if (by_domain) {
    return absl::StrCat("not in it itself, but ", Quoted(absl::StrCat("*@", DomainOf(user))),
                        " is");
  }
  return "found";
}

std::string BackendName(const RouterOptions& options, int index) {
  return EscapeForLog(options.backends[static_cast<size_t>(index)].name);
}

absl::string_view BalanceName(Balance balance) {
  switch (balance) {
    case Balance::kRendezvous:
      return "user-hash";
    case Balance::kMaglev:
      return "maglev";
    case Balance::kLeastSessions:
      return "least-sessions";
    case Balance::kRoundRobin:
      return "round-robin";
  }
  return "";
}

std::string DescribePool(const RouterOptions& options, int index, const PoolChoice& choice) {
  const PoolOptions& pool = options.pools[static_cast<size_t>(index)];
  const size_t size = choice.balancer().size();
  const size_t backups = choice.backups().size();
  std::string text = absl::StrCat("pool ", Quoted(pool.name), " (", BalanceName(pool.balance),
                                  " over ", size, size == 1 ? " backend" : " backends");
  if (backups > 0) absl::StrAppend(&text, " and ", backups, backups == 1 ? " backup" : " backups");
  return absl::StrCat(text, ")");
}

// What may change the choice at the moment of the login.
void ExplainConditions(const PoolOptions& pool, std::string* text) {
  if (pool.load_bound_percent > 0) {
    AddLine(text, "load bound",
            absl::StrFormat("a backend above %d.%02d times its share of the sessions passes new "
                            "users on to the next one",
                            pool.load_bound_percent / 100, pool.load_bound_percent % 100));
  }
  if (pool.affinity && pool.failover) {
    AddLine(text, "affinity", "a user who has a session goes where it is");
  }
  if (pool.queue.wait > 0) {
    AddLine(text, "queue",
            absl::StrFormat("waits for up to %g s while nobody has room or is there, with at most "
                            "%d others",
                            static_cast<double>(pool.queue.wait) / kSecond,
                            pool.queue.waiting_max - 1));
  }
}

// The pool's choice and what would come after it; which one is first, or -1 when any may be.
int ExplainPick(const RouterOptions& options, const PoolOptions& pool, const PoolChoice& choice,
                absl::string_view user, std::string* text) {
  if (!IsByUser(pool.balance)) {
    AddLine(text, "backend",
            pool.balance == Balance::kRoundRobin
                ? "whose turn it is among the usable ones, whoever the user is"
                : "the usable one with the fewest sessions for its weight, whoever the user is");
    ExplainConditions(pool, text);
    return -1;
  }
  std::array<int, kCandidatesMax> best{};
  const uint64_t hash = StableHash(user);
  auto count = static_cast<size_t>(choice.balancer().Pick(hash, absl::MakeSpan(best)));
  count += static_cast<size_t>(choice.backups().Pick(hash, absl::MakeSpan(best).subspan(count)));
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(BackendName(options, best[i]));
  std::string next;
  if (count > 1) {
    next = absl::StrCat(", next by hash: ", absl::StrJoin(names.begin() + 1, names.end(), ", "),
                        pool.failover ? "" : ", not tried because failover is off");
  }
  AddLine(text, "backend",
          absl::StrFormat("%s (user hash %016x%s)", count == 0 ? "none" : names[0], hash, next));
  ExplainConditions(pool, text);
  return count == 0 ? -1 : best[0];
}

void ExplainTarget(const RouterOptions& options, const std::deque<PoolChoice>& choices,
                   absl::string_view user, absl::string_view subject, absl::string_view how,
                   Target target, std::string* text, ExplainedEnd* end) {
  if (target.pool < 0) {
    const std::string name = BackendName(options, target.backend);
    AddLine(text, subject, absl::StrCat(how, "backend \"", name, "\""));
    AddLine(text, "backend", absl::StrCat(name, " (the only candidate)"));
    end->backend = target.backend;
    return;
  }
  const auto pool = static_cast<size_t>(target.pool);
  AddLine(text, subject, absl::StrCat(how, DescribePool(options, target.pool, choices[pool])));
  end->any = !IsByUser(options.pools[pool].balance);
  end->backend = ExplainPick(options, options.pools[pool], choices[pool], user, text);
}

absl::string_view DescribeKind(LookupAnswer::Kind kind) {
  switch (kind) {
    case LookupAnswer::Kind::kFound:
      return "found";
    case LookupAnswer::Kind::kUnknown:
      return "does not know the user";
    case LookupAnswer::Kind::kTemporary:
      return "has no answer now";
    case LookupAnswer::Kind::kWait:
      return "wants to be asked again";
    case LookupAnswer::Kind::kForbidden:
      return "refuses";
  }
  return "";
}

// Asks, and tells what came of it. False: the next route is asked.
bool ExplainLookup(const RouterOptions& options, const RouteTable& table,
                   const std::deque<PoolChoice>& choices, const RouteTable::Match& match,
                   const std::string& user, const AskForExplanation& ask, std::string* text,
                   ExplainedEnd* end) {
  const auto route = static_cast<size_t>(match.route);
  const std::string subject = absl::StrCat("route ", route + 1);
  const std::string what = DescribeRoute(options, table, route);
  if (ask == nullptr) {
    AddLine(text, subject, absl::StrCat(what, ": is asked at each login, and its answer decides"));
    return true;
  }
  std::string note;
  const LookupAnswer answer = ask(static_cast<size_t>(match.lookup), user, &note);
  const std::string how =
      absl::StrCat(what, ": ", DescribeKind(answer.kind), " (", EscapeForLog(answer.detail),
                   note.empty() ? "" : ", ", note, ")");
  if (answer.kind == LookupAnswer::Kind::kUnknown) {
    AddLine(text, subject, how);
    return false;
  }
  if (answer.kind != LookupAnswer::Kind::kFound) {
    AddLine(text, subject, how);
    const bool refused = answer.kind == LookupAnswer::Kind::kForbidden;
    AddLine(text, "result",
            !answer.refusal.empty()
                ? absl::StrCat("the client is told ", Quoted(absl::StrCat("-ERR ", answer.refusal)))
            : refused ? "the client sees what it would see after a wrong password"
                      : "the client is told -ERR [SYS/TEMP], unless an answer is remembered");
    return true;
  }
  const Target target = answer.target.empty() ? match.target : table.FindTarget(answer.target);
  if (!answer.login_user.empty()) {
    AddLine(text, "as", absl::StrCat("user ", Quoted(answer.login_user)));
  }
  if (target.pool >= 0 || target.backend >= 0) {
    ExplainTarget(options, choices, user, subject, absl::StrCat(how, " -> "), target, text, end);
    return true;
  }
  AddLine(text, subject, absl::StrCat(how, " -> ", Quoted(answer.target)));
  end->backend = match.target.pool < 0
                     ? match.target.backend
                     : options.pools[static_cast<size_t>(match.target.pool)].backends[0];
  end->address = answer.target;
  return true;
}

}  // namespace

std::string ExplainRoute(const RouterOptions& options, const RouteTable& table,
                         const std::deque<PoolChoice>& choices, absl::string_view login,
                         const AskForExplanation& ask, ExplainedEnd* end) {
  std::string text;
  std::string user;
  UserChanges changes;
  const absl::Status usable = NormaliseUser(options.user, login, &user, &changes);
  if (!usable.ok()) {
    AddLine(&text, "login",
            absl::StrCat(Quoted(login), "  ->  refused before routing: ", usable.message()));
    return text;
  }
  AddLine(&text, "login",
          absl::StrCat(Quoted(login), "  ->  user ", Quoted(user), " (",
                       DescribeChanges(options.user, changes), ")"));
  size_t misses = 0;
  const auto tell_rest = [&] {
    if (misses <= kMissesToldMax) return;
    AddLine(&text, "...", absl::StrCat(Grouped(misses - kMissesToldMax), " more do not match"));
  };
  for (size_t route = 0; route < table.size(); ++route) {
    const std::string subject = absl::StrCat("route ", route + 1);
    const RouteTable::Match match = table.Try(route, user);
    if (match.route < 0) {
      if (++misses > kMissesToldMax) continue;
      AddLine(&text, subject,
              absl::StrCat(DescribeRoute(options, table, route), ": ",
                           DescribeMiss(options, table, route, user)));
      continue;
    }
    tell_rest();
    if (match.lookup >= 0) {
      if (ExplainLookup(options, table, choices, match, user, ask, &text, end)) return text;
      continue;
    }
    const std::string how = absl::StrCat(DescribeRoute(options, table, route), ": ",
                                         DescribeMatch(table, route, user), " -> ");
    ExplainTarget(options, choices, user, subject, how, match.target, &text, end);
    return text;
  }
  tell_rest();
  AddLine(&text, "result",
          "no route knows this user; the client sees what it would see after a wrong password");
  return text;
}

}  // namespace postern::routing
